import { z } from "zod";
import type { OptionProblem } from "../../errors.ts";
import { invalidOptions } from "../options/validation.ts";

/** The tool with which Claude asks questions. Its answers are a part of its input. */
const QUESTION_TOOL = "AskUserQuestion";

/** A question that Claude asks with `AskUserQuestion`. */
export interface ApprovalQuestion {
  /** The question as a sentence. Answers refer to it. */
  readonly question: string;
  /** A label of a few words. */
  readonly header: string;
  /** The proposed answers. An answer in other words is always possible. */
  readonly options: readonly QuestionOption[];
  /** Whether several options may be chosen. */
  readonly multiSelect: boolean;
}

/** A proposed answer. */
export interface QuestionOption {
  readonly label: string;
  readonly description: string;
  /** What the option would look like, as Markdown, or as HTML if `toolConfig` says so. */
  readonly preview?: string;
}

/**
 * Answers by the text of their question: the label of an option, or other words; several if the question has
 * `multiSelect`. A question may be left out.
 */
export type QuestionAnswers = Readonly<Record<string, string | readonly string[]>>;

const inputSchema = z.object({
  questions: z.array(
    z.object({
      question: z.string(),
      header: z.string().default(""),
      options: z
        .array(
          z.object({ label: z.string(), description: z.string().default(""), preview: z.string().exactOptional() }),
        )
        .default([]),
      multiSelect: z.boolean().default(false),
    }),
  ),
});

const answersSchema = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

/** Returns the questions of a tool use, or undefined if it asks none. */
export function questionsIn(tool: string, input: unknown): readonly ApprovalQuestion[] | undefined {
  return tool === QUESTION_TOOL ? inputSchema.safeParse(input).data?.questions : undefined;
}

/**
 * Returns the answers in the form that Claude Code expects: several answers to a question are one text.
 *
 * @throws CastellanError `INVALID_OPTIONS` if there are no questions or no answers, or an answer does not fit its question
 */
export function readAnswers(
  questions: readonly ApprovalQuestion[] | undefined,
  answers: QuestionAnswers,
  what: string,
): Record<string, string> {
  const given = answersSchema.safeParse(answers).data;
  const problem = (field: string, message: string): OptionProblem => ({ field, message });
  if (questions === undefined) {
    throw invalidOptions(what, [
      problem("answers", "has no question, because Claude asks for a permission; approve or deny it"),
    ]);
  }
  if (given === undefined) {
    throw invalidOptions(what, [problem("answers", "expected an object with a text, or a list of texts, by question")]);
  }
  const asked = new Map(questions.map((one) => [one.question, one]));
  const read: Record<string, string> = {};
  const problems: OptionProblem[] = [];
  for (const [question, answer] of Object.entries(given)) {
    const field = `answers[${JSON.stringify(question)}]`;
    const texts = typeof answer === "string" ? [answer] : answer;
    const to = asked.get(question);
    if (to === undefined) {
      const known = [...asked.keys()].map((text) => JSON.stringify(text)).join(", ");
      problems.push(problem(field, `is not a question of Claude's, which are ${known}`));
    } else if (texts.length === 0 || texts.some((text) => text.trim() === "")) {
      problems.push(problem(field, "is empty; leave out a question that stays unanswered"));
    } else if (texts.length > 1 && !to.multiSelect) {
      problems.push(problem(field, `has ${texts.length} answers to a question that takes one`));
    } else read[question] = texts.join(", ");
  }
  if (Object.keys(given).length === 0) {
    problems.push(problem("answers", "answers no question; call `deny` if the user does not want to answer"));
  }
  if (problems.length > 0) throw invalidOptions(what, problems);
  return read;
}
