# Requirements as pyproject.toml writes them, "name>=1.2,<2", by name:
#
#     { name = [ { operator = ">="; version = "1.2"; } { operator = "<"; version = "2"; } ]; }
{ lib }:
let
  bound =
    text:
    let
      parts = builtins.match "(>=|<)([0-9.]+)" text;
    in
    if parts == null then
      throw "qcore: cannot read ${text} in the dependencies of pyproject.toml"
    else
      {
        operator = builtins.elemAt parts 0;
        version = builtins.elemAt parts 1;
      };

  requirement =
    text:
    let
      parts = builtins.match "([A-Za-z0-9_.-]+)([^;]*)" text;
      bounds = builtins.elemAt parts 1;
    in
    if parts == null then
      throw "qcore: cannot read ${text} in the dependencies of pyproject.toml"
    else
      {
        name = builtins.elemAt parts 0;
        value = if bounds == "" then [ ] else map bound (lib.splitString "," bounds);
      };

  within =
    version: limit:
    {
      ">=" = lib.versionAtLeast version limit.version;
      "<" = lib.versionOlder version limit.version;
    }
    .${limit.operator};
in
{
  parse = texts: builtins.listToAttrs (map requirement texts);

  # Whether a version is within all bounds of a requirement.
  accepts = bounds: version: builtins.all (within version) bounds;
}
