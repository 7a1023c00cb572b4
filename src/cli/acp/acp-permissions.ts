import {
  type AgentContext,
  methods,
  type PermissionOption,
  type RequestPermissionRequest,
  type ToolCallUpdate,
} from "@agentclientprotocol/sdk";
import type { Approval, ApprovalQuestion, SessionClient } from "../../client/index.ts";
import { acpToolCall } from "./acp-updates.ts";

/** The permission requests of a turn, which the editor's user answers. */
export class AcpPermissions {
  readonly #session: SessionClient;
  readonly #sessionId: string;
  readonly #editor: AgentContext;
  readonly #warn: (line: string) => void;
  /** The requests that the editor shows, by the approval's id. */
  readonly #shown = new Map<string, AbortController>();

  constructor(session: SessionClient, sessionId: string, editor: AgentContext, warn: (line: string) => void) {
    this.#session = session;
    this.#sessionId = sessionId;
    this.#editor = editor;
    this.#warn = warn;
  }

  /** Asks the editor, and passes the answer on. Does not wait. Others may answer in the meantime. */
  ask(id: string): void {
    const settled = new AbortController();
    this.#shown.set(id, settled);
    this.#answer(id, settled.signal).catch((error: unknown) => {
      if (settled.signal.aborted) return;
      const message = error instanceof Error ? error.message : String(error);
      this.#warn(`The permission request ${id} was not answered and remains pending: ${message}`);
    });
  }

  /** Ends the question for an approval that is settled. */
  settled(id: string): void {
    this.#shown.get(id)?.abort();
    this.#shown.delete(id);
  }

  /** Ends all questions: the turn has ended. */
  end(): void {
    for (const id of [...this.#shown.keys()]) this.settled(id);
  }

  async #answer(id: string, settled: AbortSignal): Promise<void> {
    const approval = (await this.#session.approvals({ signal: settled })).find((one) => one.id === id);
    if (approval === undefined) return;
    const { questions = [] } = approval;
    if (questions.length > 0) return await this.#answerQuestions(approval, questions, settled);
    const chosen = await this.#choose(approval, permissionOptions(approval), settled);
    if (settled.aborted) return;
    if (chosen === "allow") await this.#session.approve(id);
    else if (chosen === "always") await this.#session.approve(id, { rules: approval.suggestions });
    else await this.#session.deny(id);
  }

  /** ACP has no questions with several answers, so each question is one request, and its answers are the options. */
  async #answerQuestions(
    approval: Approval,
    questions: readonly ApprovalQuestion[],
    settled: AbortSignal,
  ): Promise<void> {
    const answers: Record<string, string> = {};
    for (const { question, options } of questions) {
      const choices = options.map(({ label }, at): PermissionOption => {
        return { optionId: String(at), name: label, kind: "allow_once" };
      });
      const deny: PermissionOption = { optionId: "deny", name: "Do not answer", kind: "reject_once" };
      const chosen = await this.#choose(approval, [...choices, deny], settled, question);
      if (settled.aborted) return;
      const answer = options[Number(chosen)]?.label;
      if (answer === undefined) return void (await this.#session.deny(approval.id));
      answers[question] = answer;
    }
    await this.#session.approve(approval.id, { answers });
  }

  /** Returns the id of the chosen option; undefined if the editor's user chose none. */
  async #choose(
    { id, tool, input, toolUseId, title }: Approval,
    options: PermissionOption[],
    cancellationSignal: AbortSignal,
    question: string | undefined = title,
  ): Promise<string | undefined> {
    const call = acpToolCall(toolUseId ?? id, tool, input);
    const toolCall: ToolCallUpdate = { ...call, title: question ?? call.title };
    const request: RequestPermissionRequest = { sessionId: this.#sessionId, toolCall, options };
    const { outcome } = await this.#editor.request(methods.client.session.requestPermission, request, {
      cancellationSignal,
      stopWaitingOnCancel: true,
    });
    return outcome.outcome === "selected" ? outcome.optionId : undefined;
  }
}

function permissionOptions({ suggestions }: Approval): PermissionOption[] {
  const always: PermissionOption = { optionId: "always", name: "Always allow", kind: "allow_always" };
  return [
    { optionId: "allow", name: "Allow", kind: "allow_once" },
    ...(suggestions.length > 0 ? [always] : []),
    { optionId: "deny", name: "Deny", kind: "reject_once" },
  ];
}
