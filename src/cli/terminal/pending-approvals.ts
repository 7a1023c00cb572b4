import type { Approval, ApprovalQuestion } from "../../client/index.ts";
import { styled } from "./colors.ts";
import { oneLine } from "./text.ts";

/** What a typed line says about the approval that waits longest. */
export type TypedAnswer =
  | { readonly kind: "approve"; readonly approval: Approval; readonly always: boolean }
  | { readonly kind: "deny"; readonly approval: Approval; readonly message?: string }
  | { readonly kind: "answer"; readonly approval: Approval; readonly answers: Readonly<Record<string, string>> };

/** The approvals of an attached session that wait for an answer, and the answers to Claude's questions as they are typed. */
export class PendingApprovals {
  readonly #pending = new Map<string, Approval>();
  #answers: Record<string, string> = {};

  add(approval: Approval): void {
    this.#pending.set(approval.id, approval);
  }

  remove(id: string): void {
    if (this.#first()?.id === id) this.#answers = {};
    this.#pending.delete(id);
  }

  /** Asks for the next decision; undefined if none waits. */
  question(): string | undefined {
    const approval = this.#first();
    if (approval === undefined) return undefined;
    const question = this.#nextQuestion(approval);
    if (question !== undefined) return questionLines(question);
    const rules = approval.suggestions.length > 0 ? ", a (yes, always)" : "";
    return styled("yellow", `Approve ${oneLine(approval.tool)}? Type y, n${rules}, or n and what Claude is told.`);
  }

  /** Reads a typed line as an answer. Returns undefined if it is none, and `"more"` if another question follows. */
  read(line: string): TypedAnswer | "more" | undefined {
    const approval = this.#first();
    if (approval === undefined) return undefined;
    const question = this.#nextQuestion(approval);
    if (question !== undefined) return this.#readAnswer(approval, question, line);
    const [, word, message = ""] = /^(y|yes|n|no|a|always)(?:\s+(.*))?$/is.exec(line.trim()) ?? [];
    const letter = word?.[0]?.toLowerCase();
    if (letter === "n") return { kind: "deny", approval, ...(message !== "" && { message }) };
    // A prompt may begin with these words.
    if (letter === undefined || message !== "") return undefined;
    return { kind: "approve", approval, always: letter === "a" };
  }

  #readAnswer(approval: Approval, question: ApprovalQuestion, line: string): TypedAnswer | "more" | undefined {
    const typed = line.trim();
    if (typed === "" || typed.startsWith("/")) return undefined;
    this.#answers[question.question] = chosen(question, typed);
    if (this.#nextQuestion(approval) !== undefined) return "more";
    const answers = this.#answers;
    this.#answers = {};
    return { kind: "answer", approval, answers };
  }

  #first(): Approval | undefined {
    return this.#pending.values().next().value;
  }

  #nextQuestion({ questions = [] }: Approval): ApprovalQuestion | undefined {
    return questions.find(({ question }) => !Object.hasOwn(this.#answers, question));
  }
}

/** Returns the labels of the options whose numbers were typed, or what was typed. */
function chosen({ options, multiSelect }: ApprovalQuestion, typed: string): string {
  const numbers = multiSelect ? typed.split(/[\s,]+/) : [typed];
  const labels = numbers.map((number) => (/^\d+$/.test(number) ? options[Number(number) - 1]?.label : undefined));
  return labels.every((label) => label !== undefined) ? labels.join(", ") : typed;
}

function questionLines({ question, options, multiSelect }: ApprovalQuestion): string {
  const lines = options.map(({ label, description }, at) => `  ${at + 1}  ${oneLine(label)}: ${oneLine(description)}`);
  const how = multiSelect ? "Type numbers, or an answer." : "Type a number, or an answer.";
  return [styled("yellow", `${oneLine(question)} ${how}`), ...lines].join("\n");
}
