# Addresses as settings have them: host:port, an IPv6 host in brackets.
{ lib }:
let
  split = addr: builtins.match "(.+):([0-9]{1,5})" addr;
in
rec {
  isAddress = addr: split addr != null;
  host = addr: builtins.elemAt (split addr) 0;
  port = addr: lib.toIntBase10 (builtins.elemAt (split addr) 1);
  isLoopback = addr: builtins.elem (host addr) [ "localhost" "[::1]" ] || lib.hasPrefix "127." (host addr);
  isWildcard = addr: builtins.elem (host addr) [ "0.0.0.0" "[::]" ];
}
