# The options of services.qcore; those below `settings` come from settings.nix.
{
  lib,
  pkgs,
  settingsType,
}:
let
  inherit (lib) mkOption types;

  node =
    { name, ... }:
    {
      options = {
        id = mkOption {
          type = types.nullOr (types.ints.between 1 65535);
          default = if builtins.match "[1-9][0-9]{0,4}" name == null then null else lib.toInt name;
          defaultText = lib.literalMD "the name of the node, where that is a number";
          description = "Number of this node, unique in its cluster; its unit is `qcore@<id>.service`.";
        };
        settings = mkOption {
          type = settingsType;
          default = { };
          example = {
            ws_addr = "192.168.1.10:8080";
          };
          description = "Settings of this node; they win over those of {option}`services.qcore.settings`.";
        };
      };
    };
in
{
  enable = lib.mkEnableOption "qcore, the real-time entity store";

  package = lib.mkPackageOption pkgs "qcore" { };

  settings = mkOption {
    type = settingsType;
    default = { };
    example = lib.literalExpression ''
      {
        ws_addr = "0.0.0.0:8080";
        enable_discovery = true;
        config_file = ./schemas.yaml;
      }
    '';
    description = "Settings of all nodes of this machine. What is not set is the daemon's default.";
  };

  nodes = mkOption {
    type = types.attrsOf (types.submodule node);
    default = {
      "1" = { };
    };
    example = {
      kitchen.id = 2;
    };
    description = "The nodes of this machine, most often one. Several need addresses of their own.";
  };

  clusterSecretFile = mkOption {
    type = types.nullOr types.externalPath;
    default = null;
    example = "/run/secrets/qcore-cluster";
    description = ''
      File with the secret that all nodes of the cluster know, the same on all machines. It is read as root when a node
      starts and handed over as a credential, and never comes into the Nix store.
    '';
  };

  openFirewall = mkOption {
    type = types.bool;
    default = false;
    description = "Whether to open the ports of all nodes, and UDP 5353 for mDNS where a node has `enable_discovery`.";
  };

  backup = {
    enable = lib.mkEnableOption "backups of the store: each node that leads writes one";
    directory = mkOption {
      type = types.externalPath;
      default = "/var/backups/qcore";
      description = "Folder of the backups.";
    };
    keep = mkOption {
      type = types.ints.positive;
      default = 14;
      description = "How many of each node are kept.";
    };
    startAt = mkOption {
      type = types.str;
      default = "daily";
      example = "*-*-* 03:30:00";
      description = "When they are taken, in the format of {manpage}`systemd.time(7)`.";
    };
  };
}
