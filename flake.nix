{
  description = "A distributed, schema'd, real-time entity store";

  # docs/nix.md: no flake.lock is committed; `nix flake lock` makes one.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs = { self, nixpkgs }: import ./packaging/nix/outputs.nix { inherit self nixpkgs; };
}
