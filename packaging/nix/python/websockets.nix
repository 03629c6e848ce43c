{
  lib,
  buildPythonPackage,
  fetchPypi,
  setuptools,
}:
buildPythonPackage rec {
  pname = "websockets";
  version = "17.4";
  pyproject = true;

  src = fetchPypi {
    inherit pname version;
    hash = "sha256-CdOTm3DfDIrS2hRevVCXi8yu4dVl6Diw55IaNNOFces=";
  };

  build-system = [ setuptools ];
  doCheck = false; # its tests are those of its authors
  pythonImportsCheck = [ "websockets" ];

  meta = {
    description = "The WebSocket protocol, server and client";
    homepage = "https://websockets.readthedocs.io/";
    license = lib.licenses.bsd3;
  };
}
