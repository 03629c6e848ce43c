# Runs the tests from the tree, `python -m pytest tests/model`, and builds the extension with cargo.
{
  mkShell,
  qcore,
  cargo,
  clippy,
  gcc,
  gnumake,
  maturin,
  redis,
  ruff,
  rustc,
  rustfmt,
}:
let
  python = qcore.python.withPackages (
    packages:
    qcore.pythonDependencies
    ++ [
      packages.hypothesis
      packages.pytest
      packages.pytest-asyncio
      packages.mypy
    ]
  );
in
mkShell {
  packages = [
    python
    cargo
    clippy
    gcc
    gnumake
    maturin
    redis
    ruff
    rustc
    rustfmt
  ];
}
