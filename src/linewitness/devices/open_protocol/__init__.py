"""Tightening controllers over Open Protocol: every result once, or a gap that names what is missing.

The data flow of a result (0061) until its acknowledgement (0062):

1. `session/link.py` reads bytes, and `wire/protocol.py` makes an event of them: a push was received.
2. `session/session.py` hands the push to `session/capture.py`, which decodes it (`wire/codec.py` by
   `wire/layouts.txt`) and reads its tightening id and core values (`content/tightening.py`).
3. `ledger/tracker.py` compares it with what is known (`ledger/rules.py`): new, a repeat, or a contradiction
   that `session/recovery.py` resolves by asking the controller.
4. `content/observations.py` makes the observation, which is handed out with what must be remembered with it.
5. When the journal has committed both, `confirm` in `session/session.py` sends the acknowledgement.
"""
