import type { MessagesAnswer, MessagesBlock, MessagesModel, MessagesRequest } from "../../src/testing/index.ts";

/** The tool that the model uses for each prompt. */
export type PromptTools = Readonly<Record<string, { readonly name: string; readonly input: unknown }>>;

/** Returns a model that uses the tool of a prompt that `acts` has, and otherwise says "done". */
export function toolModel(acts: () => PromptTools): MessagesModel {
  return (request: MessagesRequest): MessagesAnswer => {
    const said = sinceAnswer(request).filter(({ type }) => type === "text" || type === "tool_result");
    if (said.some(({ type }) => type === "tool_result")) return { text: "done" };
    const act = said.map(({ text }) => acts()[String(text).trim()]).findLast((one) => one !== undefined);
    return act === undefined ? { text: "done" } : { toolUses: [act] };
  };
}

/** Returns what the user and tools have said since the model's last answer. */
function sinceAnswer({ body: { messages } }: MessagesRequest): readonly MessagesBlock[] {
  const last = messages.findLastIndex(({ role }) => role === "assistant");
  return messages
    .slice(last + 1)
    .filter(({ role }) => role === "user")
    .flatMap(({ content }) => (typeof content === "string" ? [{ type: "text", text: content }] : content));
}
