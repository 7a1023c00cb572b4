import { type ContentBlock, RequestError } from "@agentclientprotocol/sdk";
import type { PromptBlock, WirePrompt } from "../../client/index.ts";

/**
 * Returns a prompt of ACP as a session takes it: a text if it is nothing else, otherwise content blocks.
 *
 * @throws RequestError for audio and for binary files, which a session cannot take
 */
export function givenPrompt(blocks: readonly ContentBlock[]): WirePrompt {
  const given = blocks.map(givenBlock);
  const texts = given.filter((block) => block.type === "text").map(({ text }) => text);
  return texts.length === given.length ? texts.join("\n") : given;
}

function givenBlock(block: ContentBlock): PromptBlock {
  switch (block.type) {
    case "text":
      return text(block.text);
    case "image":
      return { type: "image", source: { type: "base64", media_type: block.mimeType, data: block.data } };
    case "resource_link":
      return text(`[${block.name}](${block.uri})`);
    case "resource":
      if ("text" in block.resource) {
        return text(`<context uri=${JSON.stringify(block.resource.uri)}>\n${block.resource.text}\n</context>`);
      }
      throw RequestError.invalidParams({ uri: block.resource.uri }, "A session takes no binary files.");
    default:
      throw RequestError.invalidParams({ type: block.type }, "A session takes texts, images and text files.");
  }
}

function text(given: string): PromptBlock {
  return { type: "text", text: given };
}
