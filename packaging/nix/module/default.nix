# services.qcore: the nodes of this machine, as packaging/systemd has them.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.qcore;
  units = import ./units.nix;
  settingsType = import ./settings.nix { inherit lib pkgs; };
  rules = import ./rules.nix { inherit lib; } cfg;

  toml = pkgs.formats.toml { };
  isSet = lib.filterAttrs (_: value: value != null);
  catalogs = builtins.filter (lib.hasSuffix ".catalog") (builtins.attrNames (builtins.readDir ../../systemd));
  catalogFile = name: lib.nameValuePair "systemd/catalog/${name}" { source = ../../systemd + "/${name}"; };
  nodeFile = id: "qcore/node-${toString id}.toml";
  commonSource = config.environment.etc."qcore/qcore.toml".source;

  # For the commands of root; a node has it as a credential.
  secret.cluster_secret_file = cfg.clusterSecretFile;

  forEachNode = outputs: lib.mkMerge (map outputs rules.nodes);

  unitOptions = node: {
    inherit (cfg) package clusterSecretFile;
    inherit (node) id;
    dataDir = node.effective.data_dir;
  };
in
{
  options.services.qcore = import ./options.nix { inherit lib pkgs settingsType; };

  config = lib.mkIf cfg.enable {
    inherit (rules) assertions warnings;

    services.qcore.settings.data_dir = lib.mkDefault units.stateDir;

    environment.systemPackages = [ cfg.package ];
    environment.etc = lib.mkMerge [
      { "qcore/qcore.toml".source = toml.generate "qcore.toml" (isSet (cfg.settings // secret)); }
      (builtins.listToAttrs (map catalogFile catalogs))
      (forEachNode (node: {
        ${nodeFile node.id}.source = toml.generate "node-${toString node.id}.toml" (isSet node.settings);
      }))
    ];

    users.users.qcore = {
      isSystemUser = true;
      group = "qcore";
      home = units.stateDir;
      description = "qcore real-time entity store";
    };
    users.groups.qcore = { };

    systemd.targets.qcore = units.target;
    systemd.services = lib.mkMerge [
      (forEachNode (node: {
        "qcore@${toString node.id}" = units.node (unitOptions node) // {
          restartTriggers = [
            commonSource
            config.environment.etc.${nodeFile node.id}.source
          ];
        };
      }))
      (lib.mkIf cfg.backup.enable (
        forEachNode (node: {
          "qcore-backup@${toString node.id}" = units.backup (unitOptions node // { inherit (cfg) backup; });
        })
      ))
    ];
    systemd.timers = lib.mkIf cfg.backup.enable (
      forEachNode (node: {
        "qcore-backup@${toString node.id}" = units.timer {
          inherit (node) id;
          inherit (cfg) backup;
        };
      })
    );

    systemd.tmpfiles.rules =
      map (folder: "d ${folder} 0750 qcore qcore -") rules.folders
      ++ lib.optional cfg.backup.enable "d ${cfg.backup.directory} 0750 qcore qcore -";

    networking.firewall = lib.mkIf cfg.openFirewall {
      allowedTCPPorts = rules.ports;
      allowedUDPPorts = lib.optional rules.discovers 5353; # mDNS
    };
  };
}
