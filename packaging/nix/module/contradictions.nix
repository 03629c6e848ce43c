# Settings that are good one by one and not together, as qcore/server/config/rules.py has them; a test compares the two.
{ lib }:
{
  where, # the option that a message begins with
  settings, # all of one node
  hasSecret,
}:
let
  addresses = import ./addresses.nix { inherit lib; };
  inherit (settings) ws_addr peers enable_discovery heartbeat_ms election_timeout_min_ms election_timeout_max_ms;

  told = if settings.advertise == null then ws_addr else settings.advertise;
  toldBy = if settings.advertise == null then "ws_addr" else "advertise";
  far = builtins.filter (peer: !addresses.isLoopback peer) peers;
  talksToOthers = far != [ ] || ((peers != [ ] || enable_discovery) && !addresses.isLoopback ws_addr);

  malformed = builtins.filter (addr: !addresses.isAddress addr) ([ ws_addr told ] ++ peers);
  say = name: condition: message: lib.optional condition "${where}.settings.${name}: ${message}";
in
say "election_timeout_min_ms" (election_timeout_min_ms < 2 * heartbeat_ms)
  "expected at least twice heartbeat_ms (${toString heartbeat_ms}), given ${toString election_timeout_min_ms}"
++
  say "election_timeout_max_ms" (election_timeout_max_ms <= election_timeout_min_ms)
    "expected more than ${toString election_timeout_min_ms}, given ${toString election_timeout_max_ms}"
++ (
  if malformed != [ ] then
    map (addr: "${where}.settings: expected host:port, given ${addr}") (lib.unique malformed)
  else
    say "advertise" (settings.advertise != null && addresses.isWildcard told)
      "${told} is no address that others can reach"
    ++
      say "advertise" (settings.advertise == null && peers != [ ] && !enable_discovery && addresses.isWildcard told)
        "expected an address, as with ws_addr ${ws_addr} other nodes have to be told where this one is"
    ++
      say toldBy (far != [ ] && addresses.isLoopback told)
        "${told} is this machine only, and ${builtins.head far} is on another one"
    ++
      lib.optional (talksToOthers && !hasSecret && !settings.insecure)
        (
          "services.qcore.clusterSecretFile: expected a file, as ${where} talks to other machines; "
          + "settings.insecure = true does without a secret, where everybody on the network is trusted"
        )
)
