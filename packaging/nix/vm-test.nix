# Three machines form a cluster, lose one and get it back; a store is restored from a backup, and a node from nothing.
{ module }:
let
  ids = [ "1" "2" "3" ];

  machine =
    id:
    { pkgs, ... }:
    {
      imports = [ module ];
      environment.systemPackages = [ pkgs.curl ];
      environment.etc."qcore-cluster-secret" = {
        text = "a secret of this test only";
        mode = "0400";
      };
      services.qcore = {
        enable = true;
        openFirewall = true;
        clusterSecretFile = "/etc/qcore-cluster-secret";
        settings = {
          ws_addr = "0.0.0.0:8080";
          peers = map (other: "node${other}:8080") ids;
          config_file = ../../schemas.yaml;
          auto_init = true;
          min_nodes = builtins.length ids;
        };
        nodes.${id}.settings.advertise = "node${id}:8080";
        backup.enable = true;
      };
    };
in
{
  name = "qcore-cluster";

  nodes = builtins.listToAttrs (
    map (id: {
      name = "node${id}";
      value = machine id;
    }) ids
  );

  testScript = ''
    machines = {1: node1, 2: node2, 3: node3}

    def wait_until_ready(id):
        machines[id].wait_for_unit(f"qcore@{id}.service")
        machines[id].wait_until_succeeds("curl --fail --silent http://127.0.0.1:8080/readyz")

    def create(id, name):
        machines[id].succeed(f"qcore-cli --wait 60 CREATE Folder {name} /Root")

    def wait_until_seen(id, name):
        machines[id].wait_until_succeeds(f"qcore-cli --wait 60 EXISTS /Root/{name} | grep true")

    start_all()

    with subtest("three blank nodes form one cluster"):
        for id in machines:
            wait_until_ready(id)
        create(1, "first")
        for id in machines:
            wait_until_seen(id, "first")

    with subtest("the loss of any one machine stops nobody, and it catches up"):
        for lost in machines:
            machines[lost].crash()
            for id in machines:
                if id != lost:
                    create(id, f"without-{lost}-at-{id}")
            machines[lost].start()
            wait_until_ready(lost)
            for id in machines:
                if id != lost:
                    wait_until_seen(lost, f"without-{lost}-at-{id}")

    with subtest("a killed daemon is started again"):
        node2.succeed("systemctl kill --signal KILL qcore@2")
        wait_until_ready(2)
        wait_until_seen(2, "first")

    with subtest("all machines crash at once"):
        for machine in machines.values():
            machine.crash()
        start_all()
        for id in machines:
            wait_until_ready(id)
            wait_until_seen(id, "first")

    with subtest("the node that leads writes a backup, and what was deleted comes back from it"):
        for id, machine in machines.items():
            machine.succeed(f"systemctl start qcore-backup@{id}.service")
        found = [m for m in machines.values() if "json" in m.succeed("ls /var/backups/qcore")]
        assert len(found) == 1, f"{len(found)} machines wrote a backup"
        found[0].succeed("qcore-cli --wait 60 DELETE /Root/first")
        found[0].succeed("snapshot-tool restore --input $(ls /var/backups/qcore/*.json | tail -n 1)")
        for id in machines:
            wait_until_seen(id, "first")

    with subtest("a node comes back on an empty disk"):
        node3.succeed("systemctl stop qcore@3", "rm -r /var/lib/qcore/node_3", "systemctl start qcore@3")
        wait_until_ready(3)
        wait_until_seen(3, "first")
  '';
}
