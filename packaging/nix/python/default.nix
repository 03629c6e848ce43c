# The Python that runs qcore, with every package as new as pyproject.toml asks for it: from nixpkgs where it is new
# enough, else from here.
{ lib, python3 }:
let
  requirements = import ../requirements.nix { inherit lib; };
  required = requirements.parse (import ../project.nix).dependencies;

  # In nixpkgs, but not in each of its releases as new as that.
  own = {
    cel-python = ./cel-python.nix;
    msgspec = ./msgspec.nix;
    websockets = ./websockets.nix;
  };

  packageOverrides =
    final: prev:
    let
      goodEnough = name: prev ? ${name} && requirements.accepts required.${name} prev.${name}.version;
      choose = name: definition: if goodEnough name then prev.${name} else final.callPackage definition { };
    in
    builtins.mapAttrs choose own // { qcore-openraft = final.callPackage ../openraft.nix { }; };

  python = python3.override {
    self = python;
    inherit packageOverrides;
  };
in
python
