"""Names of the messages, and what the controller's error codes mean and ask for."""

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final


class Mid(IntEnum):
    """The messages that we send, take or acknowledge."""

    START = 1
    STARTED = 2
    STOP = 3
    REFUSED = 4
    ACCEPTED = 5
    GENERIC_REQUEST = 6
    GENERIC_SUBSCRIBE = 8
    PSET_IDS_REQUEST = 10
    PSET_IDS = 11
    PSET_DATA_REQUEST = 12
    PSET_DATA = 13
    PSET_SUBSCRIBE = 14
    PSET_SELECTED = 15
    PSET_ACK = 16
    PSET_UNSUBSCRIBE = 17
    PSET_SELECT = 18
    BATCH_SIZE_SET = 19
    JOB_IDS_REQUEST = 30
    JOB_IDS = 31
    JOB_DATA_REQUEST = 32
    JOB_DATA = 33
    JOB_SUBSCRIBE = 34
    JOB_INFO = 35
    JOB_ACK = 36
    JOB_UNSUBSCRIBE = 37
    JOB_SELECT = 38
    JOB_RESTART = 39
    TOOL_DATA_REQUEST = 40
    TOOL_DATA = 41
    TOOL_DISABLE = 42
    TOOL_ENABLE = 43
    IDENTIFIER_DOWNLOAD = 50
    IDENTIFIER_SUBSCRIBE = 51
    IDENTIFIER = 52
    IDENTIFIER_ACK = 53
    IDENTIFIER_UNSUBSCRIBE = 54
    RESULT_SUBSCRIBE = 60
    RESULT = 61
    RESULT_ACK = 62
    RESULT_UNSUBSCRIBE = 63
    OLD_RESULT_REQUEST = 64
    OLD_RESULT = 65
    ALARM_SUBSCRIBE = 70
    ALARM = 71
    ALARM_ACK = 72
    ALARM_UNSUBSCRIBE = 73
    ALARM_ACKED = 74
    ALARM_ACKED_ACK = 75
    ALARM_STATUS = 76
    ALARM_STATUS_ACK = 77
    TIME_REQUEST = 80
    TIME = 81
    TIME_SET = 82
    MULTI_STATUS = 91
    MULTI_STATUS_ACK = 92
    MULTI_SUBSCRIBE = 100
    MULTI_RESULT = 101
    MULTI_ACK = 102
    MULTI_UNSUBSCRIBE = 103
    MULTI_OLD_REQUEST = 104
    CYCLE_SUBSCRIBE = 105
    CYCLE_RESULT = 106
    CYCLE_BOLT = 107
    CYCLE_ACK = 108
    CYCLE_UNSUBSCRIBE = 109
    JOB_ABORT = 127
    IDENTIFIERS_DOWNLOAD = 150
    IDENTIFIERS_SUBSCRIBE = 151
    IDENTIFIERS = 152
    IDENTIFIERS_ACK = 153
    IDENTIFIERS_UNSUBSCRIBE = 154
    TRACE = 900
    TRACE_PLOT = 901
    NEW_ALARM = 1000
    NEW_ALARM_ACK = 1001
    OPERATION_RESULT = 1201
    OPERATION_OBJECT = 1202
    OPERATION_ACK = 1203
    LINK_ACK = 9997
    LINK_NACK = 9998
    KEEP_ALIVE = 9999


#: Which message acknowledges a pushed one. Traces have none of their own: 0005 with their MID.
ACK_OF: Final = MappingProxyType(
    {
        Mid.PSET_SELECTED: Mid.PSET_ACK,
        Mid.JOB_INFO: Mid.JOB_ACK,
        Mid.IDENTIFIER: Mid.IDENTIFIER_ACK,
        Mid.RESULT: Mid.RESULT_ACK,
        Mid.ALARM: Mid.ALARM_ACK,
        Mid.ALARM_ACKED: Mid.ALARM_ACKED_ACK,
        Mid.ALARM_STATUS: Mid.ALARM_STATUS_ACK,
        Mid.MULTI_STATUS: Mid.MULTI_STATUS_ACK,
        Mid.MULTI_RESULT: Mid.MULTI_ACK,
        Mid.CYCLE_RESULT: Mid.CYCLE_ACK,
        Mid.CYCLE_BOLT: Mid.CYCLE_ACK,
        Mid.IDENTIFIERS: Mid.IDENTIFIERS_ACK,
        Mid.NEW_ALARM: Mid.NEW_ALARM_ACK,
        Mid.OPERATION_RESULT: Mid.OPERATION_ACK,
        Mid.OPERATION_OBJECT: Mid.OPERATION_ACK,
        Mid.TRACE: Mid.ACCEPTED,
        Mid.TRACE_PLOT: Mid.ACCEPTED,
    }
)

#: Which unsubscribe message undoes a subscription.
UNSUBSCRIBE_OF: Final = MappingProxyType(
    {
        Mid.PSET_SUBSCRIBE: Mid.PSET_UNSUBSCRIBE,
        Mid.JOB_SUBSCRIBE: Mid.JOB_UNSUBSCRIBE,
        Mid.IDENTIFIER_SUBSCRIBE: Mid.IDENTIFIER_UNSUBSCRIBE,
        Mid.RESULT_SUBSCRIBE: Mid.RESULT_UNSUBSCRIBE,
        Mid.ALARM_SUBSCRIBE: Mid.ALARM_UNSUBSCRIBE,
        Mid.MULTI_SUBSCRIBE: Mid.MULTI_UNSUBSCRIBE,
        Mid.CYCLE_SUBSCRIBE: Mid.CYCLE_UNSUBSCRIBE,
        Mid.IDENTIFIERS_SUBSCRIBE: Mid.IDENTIFIERS_UNSUBSCRIBE,
    }
)


class Refusal(IntEnum):
    """The error codes that the dialogue itself reacts to."""

    DATA_INVALID = 1
    IDENTIFIER_SUBSCRIBED = 6
    RESULT_SUBSCRIBED = 9
    ALARM_SUBSCRIBED = 11
    PSET_SUBSCRIBED = 13
    NOT_FOUND = 15
    BUSY = 16
    JOB_SUBSCRIBED = 18
    MULTI_SUBSCRIBED = 33
    IDENTIFIERS_SUBSCRIBED = 43
    SUBSCRIBED = 71
    SUBSCRIBE_UNSUPPORTED = 73
    SUBSCRIBE_REVISION = 74
    REQUEST_UNSUPPORTED = 75
    REQUEST_REVISION = 76
    COMMAND_FAILED = 79
    ALREADY_CONNECTED = 96
    REVISION = 97
    UNKNOWN_MID = 99


#: Ask again with a lower revision.
STEP_DOWN: Final = frozenset(
    {Refusal.REVISION, Refusal.SUBSCRIBE_REVISION, Refusal.REQUEST_REVISION, Refusal.COMMAND_FAILED}
)
#: The controller does not have this at all.
UNSUPPORTED: Final = frozenset(
    {Refusal.UNKNOWN_MID, Refusal.SUBSCRIBE_UNSUPPORTED, Refusal.REQUEST_UNSUPPORTED}
)
#: A subscription of an earlier session is still there: unsubscribe, then subscribe again.
STILL_SUBSCRIBED: Final = frozenset(
    {
        Refusal.IDENTIFIER_SUBSCRIBED,
        Refusal.RESULT_SUBSCRIBED,
        Refusal.ALARM_SUBSCRIBED,
        Refusal.PSET_SUBSCRIBED,
        Refusal.JOB_SUBSCRIBED,
        Refusal.MULTI_SUBSCRIBED,
        Refusal.IDENTIFIERS_SUBSCRIBED,
        Refusal.SUBSCRIBED,
    }
)
#: Passes by itself: tool out of reach, abort or tightening in progress, internal time-out.
TRANSIENT: Final = frozenset({27, 28, 59, 98, 101})
#: The controller still holds an earlier session of ours, or has no room: come back later.
COME_BACK_LATER: Final = frozenset({Refusal.BUSY, Refusal.ALREADY_CONNECTED})


@dataclass(frozen=True, slots=True)
class ErrorText:
    """What an error code says, and what to do about it."""

    meaning: str
    hint: str = ""


def describe(code: int) -> ErrorText:
    """Return what an error code of MID 0004 means; unknown codes are named by their number."""
    known = ERRORS.get(code)
    if known is not None:
        return known
    if code >= FIRST_OWN_CODE:
        return ErrorText("an error of this product's own", "look the code up in the controller's manual")
    return ErrorText("an error that the protocol does not name")


FIRST_OWN_CODE: Final = 900
_RESUBSCRIBE: Final = "another connection from this gateway may still be open; it ends by itself after 15 s"
_IDENTIFIER: Final = "choose Open Protocol as an identifier source at the controller"

ERRORS: Final = MappingProxyType(
    {
        0: ErrorText("no error"),
        1: ErrorText("the data of the request are invalid", "compare revision and value with the manual"),
        2: ErrorText("the parameter set does not exist", "check its number at the controller"),
        3: ErrorText("the parameter set cannot be selected", "check the controller's selection source"),
        4: ErrorText("the parameter set is not running"),
        6: ErrorText("identifiers are subscribed already", _RESUBSCRIBE),
        7: ErrorText("identifiers are not subscribed"),
        8: ErrorText("identifiers are not accepted from Open Protocol", _IDENTIFIER),
        9: ErrorText("results are subscribed already", _RESUBSCRIBE),
        10: ErrorText("results are not subscribed"),
        11: ErrorText("alarms are subscribed already", _RESUBSCRIBE),
        12: ErrorText("alarms are not subscribed"),
        13: ErrorText("parameter set selection is subscribed already", _RESUBSCRIBE),
        14: ErrorText("parameter set selection is not subscribed"),
        15: ErrorText("the tightening id was not found"),
        16: ErrorText(
            "the controller accepts no further client", "disconnect another client, or raise its limit"
        ),
        17: ErrorText("the job does not exist", "check its number at the controller"),
        18: ErrorText("job information is subscribed already", _RESUBSCRIBE),
        19: ErrorText("job information is not subscribed"),
        20: ErrorText("the job cannot be selected", "check the controller's selection source"),
        21: ErrorText("the job is not running"),
        22: ErrorText("the dynamic job is not possible"),
        23: ErrorText("the batch count cannot be decremented"),
        24: ErrorText("the parameter set cannot be created"),
        25: ErrorText("programming control is not granted", "somebody is editing at the controller"),
        26: ErrorText("the tool is of the wrong type for this"),
        27: ErrorText(
            "the tool cannot be reached", "a wireless tool may be out of range; results follow later"
        ),
        28: ErrorText("an abort is in progress", "try again in a moment"),
        29: ErrorText("no tool is connected", "connect the tool to the controller"),
        30: ErrorText("this is not the master of the group", "use the address of the station controller"),
        31: ErrorText("multi-spindle status is subscribed already", _RESUBSCRIBE),
        32: ErrorText("multi-spindle status is not subscribed"),
        33: ErrorText("multi-spindle results are subscribed already", _RESUBSCRIBE),
        34: ErrorText("multi-spindle results are not subscribed"),
        35: ErrorText(
            "another master is connected", "use a port for viewers, or disconnect the other master"
        ),
        36: ErrorText("this way of locking is not supported"),
        40: ErrorText("line control is subscribed already", _RESUBSCRIBE),
        41: ErrorText("line control is not subscribed"),
        42: ErrorText("identifiers are not accepted from Open Protocol", _IDENTIFIER),
        43: ErrorText("multiple identifiers are subscribed already", _RESUBSCRIBE),
        44: ErrorText("multiple identifiers are not subscribed"),
        50: ErrorText("external inputs are subscribed already", _RESUBSCRIBE),
        51: ErrorText("external inputs are not subscribed"),
        52: ErrorText("the I/O device is not connected"),
        53: ErrorText("the I/O device number is invalid"),
        54: ErrorText("the tool tag is unknown"),
        55: ErrorText("tool tags are subscribed already", _RESUBSCRIBE),
        56: ErrorText("tool tags are not subscribed"),
        57: ErrorText("motor tuning failed"),
        58: ErrorText("there is no alarm"),
        59: ErrorText("the tool is in use"),
        60: ErrorText("there is no histogram"),
        69: ErrorText("the revision of the extra data is not supported"),
        70: ErrorText("the calibration failed"),
        71: ErrorText("this is subscribed already", _RESUBSCRIBE),
        72: ErrorText("this is not subscribed"),
        73: ErrorText(
            "this cannot be subscribed", "the controller does not offer it, or needs a licence for it"
        ),
        74: ErrorText("this revision cannot be subscribed", "a lower revision is needed"),
        75: ErrorText(
            "this cannot be requested", "the controller does not offer it, or needs a licence for it"
        ),
        76: ErrorText("this revision cannot be requested", "a lower revision is needed"),
        77: ErrorText("the requested selection of data is not supported"),
        78: ErrorText("the subscribed selection of data is not supported"),
        79: ErrorText("the command failed"),
        92: ErrorText(
            "commands over Open Protocol are disabled",
            "give this port the rights of an Actor, not of a Viewer, and see that no input blocks commands",
        ),
        95: ErrorText("the controller is in manual mode", "switch it to automatic"),
        96: ErrorText("a client is connected already", "an earlier session ends by itself after 15 s"),
        97: ErrorText("this revision is not supported", "a lower revision is needed"),
        98: ErrorText("the controller had an internal time-out", "try again later"),
        99: ErrorText("the controller does not know this message", "it may need a licence or newer firmware"),
        100: ErrorText("an illegal parameter id"),
        101: ErrorText("a tightening is in progress"),
        102: ErrorText("the object cannot be deleted"),
        103: ErrorText("an illegal program id"),
        104: ErrorText("an illegal node type"),
    }
    | {code: ErrorText("the pairing of the wireless tool failed") for code in range(61, 69)}
    | {code: ErrorText("this is subscribed already", _RESUBSCRIBE) for code in (80, 82, 84, 86, 88, 90, 93)}
    | {code: ErrorText("this is not subscribed") for code in (81, 83, 85, 87, 89, 91, 94)}
)
