"""What other products call our settings and their values: hints for who knows those."""

import re
from collections.abc import Collection, Mapping
from typing import Final

#: By the word in lower case without separators: what it may mean here, the likeliest first.
_SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("unitid", "slave", "slaveid", "slaveaddress", "unit", "unitnumber"), ("device_id",)),
    **dict.fromkeys(("stationnumber", "stationaddress", "busaddress", "nodeaddress"), ("device_id",)),
    **dict.fromkeys(("ip", "ipaddress", "ipaddr", "hostname", "address"), ("host", "endpoint", "url")),
    **dict.fromkeys(("server", "serverurl", "endpointurl", "url", "uri"), ("endpoint", "url", "host")),
    **dict.fromkeys(("broker", "brokerurl", "host"), ("url", "endpoint")),
    **dict.fromkeys(("tcpport",), ("port",)),
    **dict.fromkeys(("scanrate", "scanms", "pollms", "pollinterval", "pollintervalms"), ("period_ms",)),
    **dict.fromkeys(("pollrate", "interval", "intervalms", "cycletime", "updaterate"), ("period_ms",)),
    **dict.fromkeys(("samplinginterval", "samplingrate"), ("sampling_ms",)),
    **dict.fromkeys(("publishinginterval", "publishinterval"), ("publishing_ms",)),
    **dict.fromkeys(("timeout", "timeoutms", "responsetimeout"), ("timeout_s", "reply_timeout_s")),
    **dict.fromkeys(("name", "tag", "tagname", "browsename"), ("id",)),
    **dict.fromkeys(("nodeid",), ("node",)),
    **dict.fromkeys(("datatype", "dtype", "valuetype", "format"), ("type",)),
    **dict.fromkeys(("byteorder", "wordorder", "endian", "endianness", "swap", "byteswap"), ("order",)),
    **dict.fromkeys(("function", "functioncode", "fc", "registertype", "inputtype"), ("table",)),
    **dict.fromkeys(("register", "reference"), ("registers",)),
    **dict.fromkeys(("multiplier", "factor", "gain", "scaling", "scalefactor"), ("scale",)),
    **dict.fromkeys(("engunit", "engunits", "engineeringunits", "uom", "unitofmeasurement"), ("unit",)),
    **dict.fromkeys(("min", "minimum", "lowlimit", "lsl"), ("low",)),
    **dict.fromkeys(("max", "maximum", "highlimit", "usl"), ("high",)),
    **dict.fromkeys(("tags", "registerslist", "datapoints", "nodes", "sensors"), ("points",)),
    **dict.fromkeys(("type", "protocol"), ("driver",)),
    **dict.fromkeys(("username", "login"), ("username", "user")),
    **dict.fromkeys(("cafile", "cacert", "cacerts"), ("ca",)),
    **dict.fromkeys(("cert", "certfile", "clientcert"), ("certificate",)),
    **dict.fromkeys(("keyfile", "privatekey", "clientkey"), ("key",)),
    **dict.fromkeys(("baud", "bps"), ("baudrate",)),
}
_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("float", "real", "single", "f32", "floating"), ("float32",)),
    **dict.fromkeys(("double", "lreal", "f64", "longreal"), ("float64",)),
    **dict.fromkeys(("int", "integer"), ("int16", "int32")),
    **dict.fromkeys(("short", "i16", "signed16", "sint16"), ("int16",)),
    **dict.fromkeys(("uint", "word", "ushort", "u16", "unsigned", "unsigned16"), ("uint16",)),
    **dict.fromkeys(("dint", "long", "i32", "signed32"), ("int32",)),
    **dict.fromkeys(("udint", "dword", "ulong", "u32", "unsigned32"), ("uint32",)),
    **dict.fromkeys(("lint", "longlong", "llong", "i64"), ("int64",)),
    **dict.fromkeys(("ulint", "lword", "qword", "u64"), ("uint64",)),
    **dict.fromkeys(("bcd",), ("bcd16",)),
    **dict.fromkeys(("lbcd",), ("bcd32",)),
    **dict.fromkeys(("boolean", "bit", "discrete", "digital"), ("bool",)),
    **dict.fromkeys(("str", "text", "char", "ascii"), ("string",)),
    **dict.fromkeys(("holdingregister", "holdingregisters", "hr", "4x"), ("holding",)),
    **dict.fromkeys(("inputregister", "inputregisters", "ir", "3x"), ("input",)),
    **dict.fromkeys(("discreteinput", "discreteinputs", "di", "1x"), ("discrete",)),
    **dict.fromkeys(("coils", "co", "0x"), ("coil",)),
    **dict.fromkeys(("bigendian", "be", "msb"), ("big",)),
    **dict.fromkeys(("littleendian", "le", "lsb"), ("little",)),
    **dict.fromkeys(("wordswap", "wordswapped", "swapwords"), ("little-byte-swap",)),
    **dict.fromkeys(("byteswap", "byteswapped", "swapbytes"), ("big-byte-swap",)),
    **dict.fromkeys(("rtu", "modbusrtu", "rs485"), ("serial", "rtu-over-tcp")),
    **dict.fromkeys(("modbustcp", "ethernet"), ("tcp",)),
    **dict.fromkeys(("modbus", "modbustcp", "modbusrtu"), ("modbus", "tcp", "serial")),
    **dict.fromkeys(("n",), ("none",)),
    **dict.fromkeys(("e",), ("even",)),
    **dict.fromkeys(("o",), ("odd",)),
    **dict.fromkeys(("signandencrypt", "signencrypt", "encrypt"), ("sign_and_encrypt",)),
    **dict.fromkeys(("subscription", "monitored", "event"), ("subscribe", "change")),
    **dict.fromkeys(("mqtt5", "mqttv5", "v5", "5.0"), ("5",)),
    **dict.fromkeys(("mqtt311", "v311", "3.1", "4"), ("3.1.1",)),
    **dict.fromkeys(("warn",), ("warning",)),
}
_SEPARATORS: Final = re.compile(r"[\s_.-]+")


def setting_meant(word: str, known: Collection[str]) -> str:
    """Return a hint with the settings that a foreign word stands for; nothing where it is not known."""
    return _hint(_SETTINGS, word, known)


def value_meant(word: str, known: Collection[str]) -> str:
    """Return a hint with the values that a foreign word stands for; nothing where it is not known."""
    return _hint(_VALUES, word, known)


def _hint(words: Mapping[str, tuple[str, ...]], word: str, known: Collection[str]) -> str:
    lower = word.lower()
    meant = words.get(_SEPARATORS.sub("", lower)) or words.get(lower) or ()
    here = [repr(each) for each in meant if each in known]
    return f"here it is called {' or '.join(here)}" if here else ""
