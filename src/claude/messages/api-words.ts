import { z } from "zod";

/** What the API says in words only: it answers 400 to what is no fault of the request. */
export type SpokenFault =
  /** The account is closed; trying again is of no use. */
  | { readonly class: "auth" }
  /** Nothing is left to pay with, or to spend. Nobody knows when that changes. */
  | { readonly class: "billing" }
  /** As much has been used as may be. `until` is when that is over, in milliseconds since the epoch. */
  | { readonly class: "quota"; readonly until: number };

/** No sentence that is looked for is longer than this, nor what stands before it. */
const MOST_WORDS = 2_000;

/** What Claude Code, or a gateway, puts before the words of the API. */
const BEFORE = /^(?:Failed to authenticate\. )?API Error: (?:Request rejected \(\d{3}\) · |\d{3} )?/;

/** An answer of the API as it was sent, to its end, and what a gateway puts before it: nothing that is quoted. */
const SENT = /^[\w .:,()-]*(\{.*\})\s*$/s;

const errorSchema = z.looseObject({ error: z.looseObject({ message: z.string() }) });

/** Each begins where the API's words do, so that no text of a user that is quoted in an error passes for one. */
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

/** The fault that these words tell, if it is one of those that nothing but words tell. */
export function faultInWords(text: string): SpokenFault | undefined {
  const words = wordsOfApi(text.slice(0, MOST_WORDS));
  for (const sentence of SENTENCES) {
    const found = sentence.words.exec(words);
    if (found !== null) return sentence.fault(found);
  }
  return undefined;
}

/** The API's own words: a gateway may have sent the whole of its answer on as words, and another gateway once more. */
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

/** What an error says: https://docs.claude.com/en/api/errors */
function messageIn(json: string): string | undefined {
  try {
    return errorSchema.parse(JSON.parse(json)).error.message;
  } catch {
    return undefined;
  }
}

/** When access is regained: `2026-12-01 at 00:00 UTC`, in milliseconds since the epoch. */
function regainedAt(words: string): number | undefined {
  const date = /\bregain access on (\d{4}-\d{2}-\d{2})(?:(?: at |T| )(\d{2}:\d{2}))?/i.exec(words);
  const [, day = "", time = "00:00"] = date ?? [];
  const at = Date.parse(`${day}T${time}:00Z`);
  return Number.isNaN(at) ? undefined : at;
}
