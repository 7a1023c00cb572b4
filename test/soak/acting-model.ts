import type { MessagesAnswer, MessagesBlock, MessagesModel, MessagesRequest } from "../../src/testing/index.ts";

/** What a user says that has the model use a tool: its name and input, by the words. */
export type Acts = Readonly<Record<string, { readonly name: string; readonly input: unknown }>>;

/** A model that does what it is told, one tool for each prompt that `acts` knows, and then says "done". */
export function actingModel(acts: () => Acts): MessagesModel {
  return (request: MessagesRequest): MessagesAnswer => {
    const said = sinceAnswer(request).filter(({ type }) => type === "text" || type === "tool_result");
    if (said.some(({ type }) => type === "tool_result")) return { text: "done" };
    const act = said.map(({ text }) => acts()[String(text).trim()]).findLast((one) => one !== undefined);
    return act === undefined ? { text: "done" } : { toolUses: [act] };
  };
}

/** What has been said by the user, and by tools, since the model spoke last. */
function sinceAnswer({ body: { messages } }: MessagesRequest): readonly MessagesBlock[] {
  const last = messages.findLastIndex(({ role }) => role === "assistant");
  return messages
    .slice(last + 1)
    .filter(({ role }) => role === "user")
    .flatMap(({ content }) => (typeof content === "string" ? [{ type: "text", text: content }] : content));
}
