"""Language models behind one interface; which of them is used is decided in `opening.open_model`.

The package itself imports no backend, so naming the types costs nothing.
"""

from __future__ import annotations

from tcs_hpt.llm._base import ChatModel, ChatReply, ChatRequest, Token

__all__ = ["ChatModel", "ChatReply", "ChatRequest", "Token"]
