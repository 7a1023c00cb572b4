import { z } from "zod";

/** Faults that the API states only in words: it also answers 400 if the request is not at fault. */
export type SpokenFault =
  /** The account is closed; retrying is useless. */
  | { readonly class: "auth" }
  /** The account has no credit or has reached its spending limit. When that changes is unknown. */
  | { readonly class: "billing" }
  /** A usage limit is reached. `until` is when it is lifted, in milliseconds since the epoch. */
  | { readonly class: "quota"; readonly until: number };

/** How many characters to search. No known sentence, with what precedes it, is longer. */
const MOST_WORDS = 2_000;

/** What Claude Code or a gateway puts before the API's words. */
const BEFORE = /^(?:Failed to authenticate\. )?API Error: (?:Request rejected \(\d{3}\) · |\d{3} )?/;

/** A complete JSON answer of the API, after a gateway's prefix. Excludes quotations. */
const SENT = /^[\w .:,()-]*(\{.*\})\s*$/s;

const errorSchema = z.looseObject({ error: z.looseObject({ message: z.string() }) });

/** Each pattern is anchored to the beginning of the API's words, so that user text quoted in an error never matches. */
const SENTENCES: readonly { readonly words: RegExp; readonly fault: (words: RegExpExecArray) => SpokenFault }[] = [
  {
    words: /^You have reached your specified (?:\w+ )?API usage limits\b/i,
    fault: ({ input }) => {
      const until = regainedAt(input);
      return until === undefined ? { class: "billing" } : { class: "quota", until };
    },
  },
  { words: /^(?:Your )?credit balance is too low\b/i, fault: () => ({ class: "billing" }) },
  { words: /^(?:This|Your) organization has been disabled\b/i, fault: () => ({ class: "auth" }) },
  { words: /^Your ANTHROPIC_API_KEY belongs to a disabled organization\b/i, fault: () => ({ class: "auth" }) },
];

/** Returns the fault that these words state, if only words state it. */
export function faultInWords(text: string): SpokenFault | undefined {
  const words = wordsOfApi(text.slice(0, MOST_WORDS));
  for (const sentence of SENTENCES) {
    const found = sentence.words.exec(words);
    if (found !== null) return sentence.fault(found);
  }
  return undefined;
}

/**
 * Returns the API's own words. A gateway may have passed on the whole answer as text, and another gateway may have done
 * so again.
 */
function wordsOfApi(text: string): string {
  let words = text.replace(BEFORE, "");
  for (let depth = 0; depth < 3; depth++) {
    const sent = SENT.exec(words)?.[1];
    const read = sent === undefined ? undefined : messageIn(sent);
    if (read === undefined) return words;
    words = read;
  }
  return words;
}

/** Returns the message in an API error: https://docs.claude.com/en/api/errors */
function messageIn(json: string): string | undefined {
  try {
    return errorSchema.parse(JSON.parse(json)).error.message;
  } catch {
    return undefined;
  }
}

/** Parses when access returns, such as `2026-12-01 at 00:00 UTC`, to milliseconds since the epoch. */
function regainedAt(words: string): number | undefined {
  const date = /\bregain access on (\d{4}-\d{2}-\d{2})(?:(?: at |T| )(\d{2}:\d{2}))?/i.exec(words);
  const [, day = "", time = "00:00"] = date ?? [];
  const at = Date.parse(`${day}T${time}:00Z`);
  return Number.isNaN(at) ? undefined : at;
}
