"""What a kernel says with `***` in the place of secrets, also of one that is said in pieces."""

from __future__ import annotations

from typing import Any

from nbtools.masking import Masking, Stream

Message = dict[str, Any]
#: what comes to stand behind the text before it, which can be held no longer then.
BEHIND = {"display_data", "execute_result", "error", "clear_output"}


class Messages:
    """Of one kernel, in their order."""

    def __init__(self, masking: Masking) -> None:
        self._masking = masking
        self._streams: dict[str, Stream] = {}
        self._last: dict[str, Message] = {}  #: stream -> its last message, while text is held

    def mask(self, message: Message) -> list[Message]:
        """What to take for the message: it, masked, behind what was held; or nothing yet."""
        if not self._masking:
            return [message]
        kind, content = message["msg_type"], message["content"]
        if kind != "stream":
            ends = kind == "status" and content.get("execution_state") == "idle"
            before = self.rest() if ends or kind in BEHIND else []
            return [*before, message if kind == "status" else self._masked(message)]
        name = content["name"]
        released = self.rest(but=name)
        stream = self._streams.setdefault(name, Stream(self._masking))
        shown = stream.add(content["text"])
        self._last[name] = message
        return [*released, _saying(message, shown)] if shown else released

    def _masked(self, message: Message) -> Message:
        content = self._masking.fields(message["content"])
        if "data" in content:  # by MIME type, or what a widget says: see there
            content["data"] = self._masking.fields(message["content"]["data"])
        return {**message, "content": content}

    def rest(self, but: str = "") -> list[Message]:
        """What is held, of all streams or of all but one."""
        found = []
        for name in [name for name in self._last if name != but]:
            message = self._last.pop(name)
            if text := self._streams[name].release():
                found.append(_saying(message, text))
        return found


def _saying(message: Message, text: str) -> Message:
    return {**message, "content": {**message["content"], "text": text}}
