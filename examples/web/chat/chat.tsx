// #region page
"use client";
import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport, type UIMessage } from "ai";
import type { TurnMetadata, UIApproval } from "castellan";
import { useRef, useState } from "react";

type ChatMessage = UIMessage<TurnMetadata, { approval: UIApproval; lost: unknown }>;
type Part = ChatMessage["parts"][number];

/** `before` are the messages of `/api/chat/<id>/messages`. */
export function Chat({ id, before }: { id: string; before: ChatMessage[] }) {
  const [input, setInput] = useState("");
  const [files, setFiles] = useState<FileList>();
  const picker = useRef<HTMLInputElement>(null);
  const again = useRef(() => {});
  // An answer may end between the request for the messages and that for its stream: the server sends one that `before` lacks.
  const [transport] = useState(() => {
    const answered = before.findLast(({ role }) => role === "assistant")?.metadata?.turnId ?? "";
    return new DefaultChatTransport<ChatMessage>({
      prepareReconnectToStreamRequest: ({ api }) => ({ api: `${api}/${id}/stream?answered=${answered}` }),
    });
  });
  const { messages, sendMessage, resumeStream, status, error } = useChat<ChatMessage>({
    id,
    messages: before,
    transport,
    resume: true,
    // What the server says of a turn that failed is an `Error`. Everything else is a broken connection.
    onError: ({ name }) => void (name !== "Error" && setTimeout(() => again.current(), 1_000)),
  });
  again.current = () => void resumeStream();
  return (
    <main>
      {messages.map((message) => (
        <section key={message.id} className={message.role}>
          {message.parts.map((part, index) => (
            <MessagePart key={index} chat={id} part={part} />
          ))}
        </section>
      ))}
      {status === "error" && error?.name === "Error" && <p className="error">{error.message}</p>}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void sendMessage({ text: input, ...(files !== undefined && { files }) });
          setInput("");
          setFiles(undefined);
          if (picker.current !== null) picker.current.value = "";
        }}
      >
        <input value={input} onChange={({ target }) => setInput(target.value)} disabled={status !== "ready"} />
        <input
          type="file"
          multiple
          accept="image/*,application/pdf,text/plain"
          ref={picker}
          onChange={({ target }) => setFiles(target.files ?? undefined)}
        />
      </form>
    </main>
  );
}

function MessagePart({ chat, part }: { chat: string; part: Part }) {
  switch (part.type) {
    case "text":
      return <p>{part.text}</p>;
    case "file":
      return part.mediaType.startsWith("image") ? (
        <img src={part.url} alt={part.filename ?? "image"} />
      ) : (
        <p>{part.filename ?? part.mediaType}</p>
      );
    case "reasoning":
      return <details>{part.text}</details>;
    case "dynamic-tool":
      return (
        <pre className={part.state}>
          {part.toolName} {JSON.stringify(part.input)} {part.state === "output-available" && String(part.output)}
        </pre>
      );
    case "data-approval":
      return part.data.outcome === undefined ? (
        <Question chat={chat} approval={part.data} />
      ) : (
        <p>{part.data.outcome}</p>
      );
    case "data-lost":
      return <p>[…]</p>;
    default:
      return null;
  }
}

function Question({ chat, approval }: { chat: string; approval: UIApproval }) {
  const answer = (approved: boolean) =>
    fetch(`/api/chat/${chat}/approvals/${approval.id}`, { method: "POST", body: JSON.stringify({ approved }) });
  return (
    <fieldset>
      <legend>{approval.title ?? `May Claude use ${approval.tool}?`}</legend>
      <button type="button" className="yes" onClick={() => answer(true)}>
        Yes
      </button>
      <button type="button" className="no" onClick={() => answer(false)}>
        No
      </button>
    </fieldset>
  );
}
// #endregion
