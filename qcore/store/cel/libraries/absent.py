"""Names of extension libraries of CEL that are not built in, to say so where somebody uses them."""

from __future__ import annotations

__all__ = ["NOT_BUILT_IN"]

_LIBRARIES = {
    "encoders": "base64.encode base64.decode",
    "lists": "slice flatten distinct sort sortBy first last lists.range isSorted sum min max",
    "maps": "merge",
    "protos": "proto.getExt proto.hasExt",
    "regex": "regex.extract regex.extractAll regex.replace find findAll",
    "optionals": "optional.of optional.ofNonZeroValue optional.none optional.unwrap unwrapOpt hasValue value or "
    "orValue optMap optFlatMap",
    "block": "cel.block cel.index cel.iterVar cel.accuVar",
    "network": "ip isIP ip.isCanonical cidr isCIDR family isUnspecified isLoopback isGlobalUnicast "
    "isLinkLocalMulticast isLinkLocalUnicast containsIP containsCIDR prefixLength masked",
    "url (of Kubernetes)": "url isURL getScheme getHost getHostname getPort getEscapedPath getQuery",
    "quantity (of Kubernetes)": "quantity isQuantity isInteger asInteger asApproximateFloat isGreaterThan isLessThan "
    "compareTo",
    "semver (of Kubernetes)": "semver isSemver major minor patch",
}

NOT_BUILT_IN = {name: library for library, names in _LIBRARIES.items() for name in names.split()}
"""The library by the name of each function or macro in it, with its namespace where it has one."""
