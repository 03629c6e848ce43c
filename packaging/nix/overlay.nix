# Adds pkgs.qcore. Python packages that qcore has newer stay within it: those of nixpkgs are left as they are.
final: prev: {
  qcore = final.callPackage ./package.nix { };
}
