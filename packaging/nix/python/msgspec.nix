{
  lib,
  buildPythonPackage,
  fetchPypi,
  setuptools,
  setuptools-scm,
}:
buildPythonPackage rec {
  pname = "msgspec";
  version = "0.22.0";
  pyproject = true;

  src = fetchPypi {
    inherit pname version;
    hash = "sha256-ChNiSklpFZ/jXYwqPTd7K2G72FheMnRA1eUnJa/8zjg=";
  };

  build-system = [
    setuptools
    setuptools-scm
  ];
  doCheck = false; # its tests are those of its authors
  pythonImportsCheck = [ "msgspec" ];

  meta = {
    description = "Typed structs, validated while they are decoded; JSON and MessagePack";
    homepage = "https://jcristharif.com/msgspec/";
    license = lib.licenses.bsd3;
  };
}
