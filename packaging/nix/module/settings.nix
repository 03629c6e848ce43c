# The type of `settings`: an option for each setting of settings.json, which a test holds equal to the daemon's own
# model, and any other key for packages that know more.
{ lib, pkgs }:
let
  inherit (lib) types;

  scalar =
    setting:
    if setting ? choices then
      types.enum setting.choices
    else
      {
        bool = types.bool;
        int = types.ints.between setting.low setting.high;
        float = types.numbers.between setting.low setting.high;
        text = types.str;
        path = types.path;
      }
      .${setting.kind};

  option =
    setting:
    lib.mkOption {
      type = types.nullOr (if setting.many then types.listOf (scalar setting) else scalar setting);
      default = null;
      description = setting.description;
    };
in
types.submodule {
  freeformType = (pkgs.formats.toml { }).type;
  options = builtins.mapAttrs (_: option) (lib.importJSON ./settings.json);
}
