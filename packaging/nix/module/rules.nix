# What services.qcore makes of its options: the nodes, and what is wrong with them, said when the system is built.
{ lib }:
cfg:
let
  addresses = import ./addresses.nix { inherit lib; };
  contradictions = import ./contradictions.nix { inherit lib; };
  known = lib.importJSON ./settings.json;
  elsewhere = {
    id = "services.qcore.nodes.<name>.id";
    cluster_secret_file = "services.qcore.clusterSecretFile";
  };

  isSet = lib.filterAttrs (_: value: value != null);
  defaults = builtins.mapAttrs (_: setting: setting.default) known;

  named = lib.mapAttrsToList (name: node: {
    inherit (node) id settings;
    where = "services.qcore.nodes.${name}";
    effective = defaults // isSet cfg.settings // isSet node.settings;
  }) cfg.nodes;
  nodes = builtins.filter (node: node.id != null) named;
  nameless = builtins.filter (node: node.id == null) named;
  parts = [
    {
      where = "services.qcore";
      inherit (cfg) settings;
    }
  ]
  ++ named;

  addrs = builtins.filter addresses.isAddress (map (node: node.effective.ws_addr) nodes);
  ports = builtins.filter (port: port != 0) (map addresses.port addrs); # 0 is any that is free
  repeated = values: lib.unique (builtins.filter (value: lib.count (other: other == value) values > 1) values);

  misplaced =
    part:
    map (key: "${part.where}.settings.${key}: give ${elsewhere.${key}} instead") (
      builtins.filter (key: elsewhere ? ${key}) (builtins.attrNames part.settings)
    );
  strange =
    part:
    map (key: "${part.where}.settings.${key} is no setting that this module knows") (
      builtins.filter (key: !(known // elsewhere) ? ${key}) (builtins.attrNames part.settings)
    );

  problems =
    lib.optional (named == [ ]) "services.qcore.nodes: expected a node; without any, leave services.qcore.enable off"
    ++ map (node: "${node.where}.id: expected a number, as the name is none") nameless
    ++ map (id: "services.qcore.nodes: two nodes have the id ${toString id}") (repeated (map (node: node.id) nodes))
    ++ map (
      port: "services.qcore.nodes: two nodes have the port ${toString port}; give each a ws_addr of its own"
    ) (repeated ports)
    ++ lib.concatMap misplaced parts
    ++ lib.concatMap (
      node:
      contradictions {
        inherit (node) where;
        settings = node.effective;
        hasSecret = cfg.clusterSecretFile != null;
      }
    ) nodes;

  unreached = builtins.filter addresses.isLoopback addrs;
in
{
  inherit nodes;
  ports = lib.unique ports;
  discovers = builtins.any (node: node.effective.enable_discovery) nodes;
  folders = lib.unique (map (node: node.effective.data_dir) nodes);

  assertions = map (message: {
    assertion = false;
    inherit message;
  }) problems;

  warnings =
    lib.concatMap strange parts
    ++ lib.optionals cfg.openFirewall (
      map (addr: "services.qcore.openFirewall: ws_addr ${addr} is reached from this machine only") unreached
    );
}
