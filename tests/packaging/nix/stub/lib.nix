# Of nixpkgs' lib what the packages of qcore use.
let
  exists = path: if builtins.pathExists path then path else throw "${toString path} does not exist";
in
rec {
  genAttrs = names: f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
  optional = condition: value: if condition then [ value ] else [ ];
  splitString = separator: text: builtins.filter builtins.isString (builtins.split separator text);
  versionAtLeast = version: least: builtins.compareVersions version least >= 0;
  versionOlder = version: limit: builtins.compareVersions version limit < 0;
  licenses = genAttrs [ "asl20" "bsd3" ] (name: name);
  platforms.linux = [ "x86_64-linux" "aarch64-linux" ];

  # A file set is the list of its paths; its source is their root.
  fileset = {
    unions = map exists;
    difference = whole: part: builtins.deepSeq part [ (exists whole) ];
    maybeMissing = path: path;
    toSource = { root, fileset }: builtins.deepSeq fileset root;
  };
}
