{
  lib,
  buildPythonPackage,
  fetchPypi,
  hatchling,
  google-re2,
  jmespath,
  lark,
  pendulum,
  pyyaml,
}:
buildPythonPackage rec {
  pname = "cel-python";
  version = "0.5.0";
  pyproject = true;

  src = fetchPypi {
    pname = "cel_python";
    inherit version;
    hash = "sha256-PrCmGejfDzONBDDNoBQnp0LnfjxDOhx8Pr1AnNgExFo=";
  };

  build-system = [ hatchling ];
  dependencies = [
    google-re2
    jmespath
    lark
    pendulum
    pyyaml
  ];
  doCheck = false; # its tests are those of its authors
  pythonImportsCheck = [ "celpy" ];

  meta = {
    description = "Common Expression Language in Python";
    homepage = "https://github.com/cloud-custodian/cel-python";
    license = lib.licenses.asl20;
  };
}
