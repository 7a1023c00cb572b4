import { type Signal, signal } from "@preact/signals";
import type { Fleet } from "./fleet.ts";
import type { Navigation } from "./navigation.ts";
import type { ServerLink } from "./server-link.ts";
import { messageOf } from "./shown-name.ts";

/** A short message about what somebody did. */
export interface Notice {
  readonly id: number;
  readonly text: string;
  readonly failed: boolean;
}

/** A question before something is lost. */
export interface Question {
  readonly title: string;
  readonly text: string;
  readonly confirm: string;
  readonly answer: (confirmed: boolean) => void;
}

/** How people get in. */
export type LoginWay = "token" | "application" | "none";

/** What all parts of the page share. */
export interface PageContext {
  readonly base: string;
  readonly login: LoginWay;
  readonly link: ServerLink;
  readonly fleet: Fleet;
  readonly navigation: Navigation;
}

const NOTICE_MS = 8_000;

/** What is shown above the page. */
export const notices: Signal<readonly Notice[]> = signal<readonly Notice[]>([]);
/** The open question, if any. */
export const question: Signal<Question | undefined> = signal<Question | undefined>(undefined);

let ids = 0;

/** Shows a message for a while. */
export function notify(text: string, { failed = false }: { readonly failed?: boolean } = {}): void {
  const notice = { id: ++ids, text, failed };
  notices.value = [...notices.peek().slice(-3), notice];
  setTimeout(() => dismiss(notice.id), failed ? 2 * NOTICE_MS : NOTICE_MS);
}

/** Shows why something failed. @param what before it, such as the name of a session */
export function notifyFailure(error: unknown, what = ""): void {
  notify(`${what}${messageOf(error)}`, { failed: true });
}

/** Takes a message away. */
export function dismiss(id: number): void {
  notices.value = notices.peek().filter((notice) => notice.id !== id);
}

/** Asks before something is lost. */
export async function confirmed(asked: Omit<Question, "answer">): Promise<boolean> {
  return await new Promise((resolve) => {
    question.value = {
      ...asked,
      answer: (yes) => {
        question.value = undefined;
        resolve(yes);
      },
    };
  });
}
