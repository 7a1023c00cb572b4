import { z } from "zod";
import type { OptionProblem } from "../../errors.ts";
import type { PromptBlock } from "./prompt-block.ts";

/** Blank text is dropped by Claude Code and rejected by the Messages API. */
const filled = z.string("expected text").refine((text) => text.trim() !== "", "is blank; leave the block out");
const base64 = z.string("expected base64");
const url = z.strictObject({
  type: z.literal("url"),
  url: z.string("expected a URL").refine(isHttps, "expected a URL that begins with `https://`"),
});
const uploaded = z.strictObject({
  type: z.literal("file"),
  file_id: z
    .string("expected the id of an uploaded file; `fileBlock(path)` reads a file of this machine")
    .min(1, "expected the id of an uploaded file"),
});
const text = z.strictObject({ type: z.literal("text"), text: filled });
const image = z.strictObject({
  type: z.literal("image"),
  source: z.discriminatedUnion(
    "type",
    [
      z.strictObject({
        type: z.literal("base64"),
        media_type: z.enum(
          ["image/jpeg", "image/png", "image/gif", "image/webp"],
          "expected `image/jpeg`, `image/png`, `image/gif` or `image/webp`",
        ),
        data: base64,
      }),
      url,
      uploaded,
    ],
    "expected a source of the type `base64`, `url` or `file`",
  ),
});
const document = z.strictObject({
  type: z.literal("document"),
  source: z.discriminatedUnion(
    "type",
    [
      z.strictObject({
        type: z.literal("base64"),
        media_type: z.literal(
          "application/pdf",
          "expected `application/pdf`; a text goes into a source of type `text`",
        ),
        data: base64,
      }),
      z.strictObject({
        type: z.literal("text"),
        media_type: z.literal("text/plain", "expected `text/plain`"),
        data: filled,
      }),
      z.strictObject({
        type: z.literal("content"),
        content: z.union([
          filled,
          z
            .array(z.discriminatedUnion("type", [text, image], "expected a block of the type `text` or `image`"))
            .min(1, "is empty"),
        ]),
      }),
      url,
      uploaded,
    ],
    "expected a source of the type `base64`, `text`, `content`, `url` or `file`",
  ),
  title: z.string("expected text").nullable().exactOptional(),
  context: z.string("expected text").nullable().exactOptional(),
  citations: z
    .strictObject({ enabled: z.boolean("expected a boolean").exactOptional() })
    .nullable()
    .exactOptional(),
});

const blocks: z.ZodType<PromptBlock[]> = z.array(
  z.discriminatedUnion("type", [text, image, document], "expected a block of the type `text`, `image` or `document`"),
);

/** Copies blocks whose fields have the right types, or says what is wrong with them. Does not read their data. */
export function parseBlocks(
  given: readonly unknown[],
): { readonly blocks: PromptBlock[] } | { readonly problems: OptionProblem[] } {
  const parsed = blocks.safeParse(given);
  if (parsed.success) return { blocks: parsed.data };
  return { problems: parsed.error.issues.flatMap((issue) => problemsOf(issue)) };
}

/** Values are never shown: they are the user's. */
function problemsOf(issue: z.core.$ZodIssue, at: readonly PropertyKey[] = []): OptionProblem[] {
  const path = [...at, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ field: fieldOf([...path, key]), message: "is not a field of such a block" }));
  }
  if (issue.code === "invalid_union") {
    // The alternative that the value comes closest to.
    const [closest] = issue.errors.filter(([first]) => first?.code !== "invalid_type" || first.path.length > 0);
    if (closest !== undefined) return closest.flatMap((one) => problemsOf(one, path));
  }
  return [{ field: fieldOf(path), message: issue.message }];
}

/** Returns the name of a field of the prompt: `prompt.2.source.url`. */
export function fieldOf(path: readonly PropertyKey[]): string {
  return ["prompt", ...path].map(String).join(".");
}

function isHttps(text: string): boolean {
  return URL.parse(text)?.protocol === "https:";
}
