"""The three protocols coding agents speak to a model, as far as a scripted model needs them.

Each class answers the same four questions about a request (which tools does it offer, what came back from the tools,
what did the model say before, is it for this protocol at all) and renders a reply, streamed or whole. They are pure:
bytes in, values out.
"""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ToolCall:
    """One use of a tool: `identifier` comes back with its result."""

    identifier: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What the model answers: text, a tool call, or both."""

    text: str = ""
    call: ToolCall | None = None


@dataclass(frozen=True)
class Heard:
    """What a request says of the conversation so far."""

    tools: frozenset[str]
    results: dict[str, str] = field(default_factory=dict)  # tool call identifier -> what the agent sent back
    said: tuple[str, ...] = ()  # the model's earlier texts
    told: tuple[str, ...] = ()  # the user's texts, the agent's own additions included


def flatten(content: Any) -> str:
    """The text in a content field, which is a string, a list of blocks, or nothing."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(flatten(block) for block in content)
    if isinstance(content, dict):
        return flatten(content.get("text") or content.get("content") or content.get("output"))
    return ""


def event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


class Anthropic:
    """The Messages API (Claude Code)."""

    name = "anthropic"
    path = "/v1/messages"

    @staticmethod
    def hear(body: dict[str, Any]) -> Heard:
        results: dict[str, str] = {}
        said: list[str] = []
        told: list[str] = []
        for message in body.get("messages", []):
            content = message.get("content")
            blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
            for block in blocks:
                if block.get("type") == "tool_result":
                    results[block.get("tool_use_id", "")] = flatten(block.get("content"))
                elif block.get("type") == "text":
                    (said if message.get("role") == "assistant" else told).append(flatten(block))
        tools = frozenset(tool.get("name", "") for tool in body.get("tools", []))
        return Heard(tools, results, tuple(said), tuple(told))

    @staticmethod
    def render(reply: Reply, body: dict[str, Any]) -> tuple[str, bytes]:
        blocks: list[dict[str, Any]] = []
        if reply.text:
            blocks.append({"type": "text", "text": reply.text})
        if reply.call:
            blocks.append({"type": "tool_use", "id": reply.call.identifier, "name": reply.call.name,
                           "input": reply.call.arguments})
        message = {"id": "msg_scripted", "type": "message", "role": "assistant", "model": body.get("model", "scripted"),
                   "content": blocks, "stop_reason": "tool_use" if reply.call else "end_turn", "stop_sequence": None,
                   "usage": {"input_tokens": 10, "output_tokens": 5}}
        if not body.get("stream"):
            return "application/json", json.dumps(message).encode()
        out = event("message_start", {"type": "message_start",
                                      "message": {**message, "content": [], "stop_reason": None}})
        for index, block in enumerate(blocks):
            if block["type"] == "text":
                start, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
            else:
                start = {**block, "input": {}}
                delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            out += event("content_block_start", {"type": "content_block_start", "index": index, "content_block": start})
            out += event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})
            out += event("content_block_stop", {"type": "content_block_stop", "index": index})
        out += event("message_delta", {"type": "message_delta", "usage": {"output_tokens": 5},
                                       "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None}})
        out += event("message_stop", {"type": "message_stop"})
        return "text/event-stream", out.encode()


class Responses:
    """The OpenAI Responses API (Codex)."""

    name = "responses"
    path = "/v1/responses"

    @staticmethod
    def hear(body: dict[str, Any]) -> Heard:
        results: dict[str, str] = {}
        said: list[str] = []
        told: list[str] = []
        for item in body.get("input", []):
            if item.get("type") in ("function_call_output", "custom_tool_call_output"):
                results[item.get("call_id", "")] = flatten(item.get("output"))
            elif item.get("type", "message") == "message":
                (said if item.get("role") == "assistant" else told).append(flatten(item.get("content")))
        tools = frozenset(tool.get("name") or tool.get("type", "") for tool in body.get("tools", []))
        return Heard(tools, results, tuple(said), tuple(told))

    @staticmethod
    def render(reply: Reply, body: dict[str, Any]) -> tuple[str, bytes]:
        output: list[dict[str, Any]] = []
        if reply.text:
            output.append({"type": "message", "id": "item_text", "status": "completed", "role": "assistant",
                           "content": [{"type": "output_text", "text": reply.text, "annotations": []}]})
        if reply.call:
            output.append({"type": "function_call", "id": "item_call", "status": "completed",
                           "call_id": reply.call.identifier, "name": reply.call.name,
                           "arguments": json.dumps(reply.call.arguments)})
        response = {"id": "resp_scripted", "object": "response", "status": "completed",
                    "model": body.get("model", "scripted"), "output": output,
                    "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15,
                              "input_tokens_details": {"cached_tokens": 0},
                              "output_tokens_details": {"reasoning_tokens": 0}}}
        if not body.get("stream"):
            return "application/json", json.dumps(response).encode()
        out = event("response.created", {"type": "response.created",
                                         "response": {**response, "status": "in_progress", "output": []}})
        for index, item in enumerate(output):
            out += event("response.output_item.added", {"type": "response.output_item.added", "output_index": index,
                                                        "item": {**item, "status": "in_progress"}})
            out += event("response.output_item.done", {"type": "response.output_item.done", "output_index": index,
                                                       "item": item})
        out += event("response.completed", {"type": "response.completed", "response": response})
        return "text/event-stream", out.encode()


class Chat:
    """The OpenAI chat completions API (aider and mini-swe-agent, by way of litellm)."""

    name = "chat"
    path = "/v1/chat/completions"

    @staticmethod
    def hear(body: dict[str, Any]) -> Heard:
        results: dict[str, str] = {}
        said: list[str] = []
        told: list[str] = []
        for message in body.get("messages", []):
            text = flatten(message.get("content"))
            if message.get("role") == "tool":
                results[message.get("tool_call_id", "")] = text
            else:
                (said if message.get("role") == "assistant" else told).append(text)
        tools = frozenset(tool.get("function", {}).get("name", "") for tool in body.get("tools") or [])
        return Heard(tools, results, tuple(said), tuple(told))

    @staticmethod
    def render(reply: Reply, body: dict[str, Any]) -> tuple[str, bytes]:
        calls = []
        if reply.call:
            calls = [{"id": reply.call.identifier, "type": "function",
                      "function": {"name": reply.call.name, "arguments": json.dumps(reply.call.arguments)}}]
        finish = "tool_calls" if calls else "stop"
        common = {"id": "chatcmpl-scripted", "created": 1, "model": body.get("model", "scripted")}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        if not body.get("stream"):
            message = {"role": "assistant", "content": reply.text or None, **({"tool_calls": calls} if calls else {})}
            whole = {**common, "object": "chat.completion", "usage": usage,
                     "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
            return "application/json", json.dumps(whole).encode()
        delta: dict[str, Any] = {"role": "assistant", "content": reply.text}
        if calls:
            delta["tool_calls"] = [{"index": 0, **calls[0]}]
        chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
                  {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": usage}]
        lines = [f"data: {json.dumps({**common, 'object': 'chat.completion.chunk', **c})}\n\n" for c in chunks]
        return "text/event-stream", ("".join(lines) + "data: [DONE]\n\n").encode()


PROTOCOLS = (Anthropic, Responses, Chat)
