# The units of packaging/systemd in the words of NixOS; a test holds the two together. It needs nothing of nixpkgs, so
# that the test needs nothing of it either.
let
  stateDir = "/var/lib/qcore";

  sandbox = {
    NoNewPrivileges = true;
    CapabilityBoundingSet = "";
    AmbientCapabilities = "";
    PrivateUsers = true;
    PrivateDevices = true;
    DevicePolicy = "closed";
    PrivateTmp = true;
    PrivateMounts = true;
    ProtectSystem = "strict";
    ProtectHome = true;
    ProtectProc = "invisible";
    ProtectClock = true;
    ProtectHostname = true;
    ProtectControlGroups = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    KeyringMode = "private";
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    RemoveIPC = true;
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    SystemCallFilter = [
      "@system-service"
      "~@privileged"
    ];
    SystemCallErrorNumber = "EPERM";
    User = "qcore";
    Group = "qcore";
    UMask = "0077";
  };

  secret =
    file:
    if file == null then
      { }
    else
      {
        LoadCredential = [ "cluster.secret:${file}" ];
        Environment = [ "QCORE_CLUSTER_SECRET_FILE=%d/cluster.secret" ];
      };

  elsewhere = folder: if folder == stateDir then { } else { ReadWritePaths = [ folder ]; };
in
{
  inherit stateDir;

  target = {
    description = "All qcore nodes of this machine";
    documentation = [ "man:qcore(1)" ];
    wantedBy = [ "multi-user.target" ];
  };

  node =
    {
      package,
      id,
      dataDir,
      clusterSecretFile,
    }:
    {
      description = "qcore real-time entity store, node ${toString id}";
      documentation = [ "man:qcore(1)" ];
      wants = [ "network-online.target" ];
      after = [
        "network-online.target"
        "time-sync.target"
        "qcore.target"
      ];
      partOf = [ "qcore.target" ];
      wantedBy = [ "qcore.target" ];
      unitConfig = {
        # What does not heal by itself ends with a code below and stays down; all else is tried for ever.
        StartLimitIntervalSec = 0;
      }
      // (if clusterSecretFile == null then { } else { AssertPathExists = clusterSecretFile; })
      // (if dataDir == stateDir then { } else { RequiresMountsFor = [ dataDir ]; });
      serviceConfig =
        sandbox
        // secret clusterSecretFile
        // elsewhere dataDir
        // {
          Type = "notify-reload";
          ExecStart = builtins.concatStringsSep " " [
            "${package}/bin/qcore"
            "--settings /etc/qcore/qcore.toml"
            "--settings -/etc/qcore/node-${toString id}.toml"
            "--id ${toString id}"
          ];
          StateDirectory = "qcore";
          StateDirectoryMode = "0750";
          WorkingDirectory = stateDir;

          TimeoutStartSec = 90;
          TimeoutStopSec = 30;
          WatchdogSec = 30;
          Restart = "on-failure";
          RestartSec = 1;
          RestartSteps = 6;
          RestartMaxDelaySec = 30;
          # Settings, damaged data, id in use, another state than the others, no extension, the disk failed, removed
          RestartPreventExitStatus = "2 65 69 70 71 74 77";
          LimitNOFILE = 65536;
          RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6 AF_NETLINK";
        };
    };

  backup =
    {
      package,
      id,
      backup,
      ...
    }:
    {
      description = "Backup of qcore by node ${toString id}";
      documentation = [ "man:snapshot-tool(1)" ];
      after = [ "qcore@${toString id}.service" ];
      unitConfig.RequiresMountsFor = [ backup.directory ];
      serviceConfig = sandbox // {
        Type = "oneshot";
        ExecStart = "${package}/bin/qcore-backup ${toString id}";
        Environment = [
          "BACKUP_DIR=${backup.directory}"
          "BACKUP_KEEP=${toString backup.keep}"
        ];
        ReadWritePaths = [ backup.directory ];
        WorkingDirectory = backup.directory;
        TimeoutStartSec = "1h";
        Nice = 10;
        IOSchedulingClass = "idle";
        ProcSubset = "pid";
        RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6";
      };
    };

  timer =
    { id, backup }:
    {
      description = "Daily backup of qcore by node ${toString id}";
      documentation = [ "man:snapshot-tool(1)" ];
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = backup.startAt;
        RandomizedDelaySec = "15min";
        Persistent = true;
      };
    };
}
