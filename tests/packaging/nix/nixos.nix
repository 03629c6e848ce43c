# The module of qcore within the options of NixOS that it sets, and what comes of it. `lib` is that of nixpkgs.
{ lib, module }:
configuration:
let
  inherit (lib) mkOption types;

  pkgs = {
    qcore = {
      type = "derivation";
      name = "qcore";
      outPath = "/package";
    };
    curl = pkgs.qcore;
    formats.toml = _: {
      type =
        let
          value = types.oneOf [
            types.bool
            types.int
            types.float
            types.str
            types.path
            (types.attrsOf value)
            (types.listOf value)
          ];
        in
        value;
      generate = name: value: { inherit name value; };
    };
  };

  declared = type: mkOption { inherit type; };
  anything = declared (types.attrsOf (types.attrsOf types.anything));
  list = type: mkOption { type = types.listOf type; default = [ ]; };

  nixos.options = {
    assertions = list types.unspecified;
    warnings = list types.str;
    environment.etc = anything;
    environment.systemPackages = list types.package;
    networking.firewall.allowedTCPPorts = list types.port;
    networking.firewall.allowedUDPPorts = list types.port;
    systemd.services = anything;
    systemd.targets = anything;
    systemd.timers = mkOption { type = types.attrsOf (types.attrsOf types.anything); default = { }; };
    systemd.tmpfiles.rules = list types.str;
    users.users = anything;
    users.groups = anything;
  };

  evaluated = lib.evalModules {
    specialArgs = { inherit pkgs; };
    modules = [
      nixos
      module
      configuration
    ];
  };
  inherit (evaluated) config;
in
{
  problems = map (rule: rule.message) (builtins.filter (rule: !rule.assertion) config.assertions);
  inherit (config) warnings;
  files = builtins.mapAttrs (_: file: file.source.value or file.source or file.text) config.environment.etc;
  inherit (config.networking) firewall;
  services = builtins.mapAttrs (_: service: removeAttrs service [ "restartTriggers" ]) config.systemd.services;
  inherit (config.systemd) targets timers;
  folders = config.systemd.tmpfiles.rules;
  users = builtins.attrNames config.users.users;
  options = evaluated.options.services.qcore;
}
