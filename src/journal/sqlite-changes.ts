import type { SQLInputValue } from "node:sqlite";
import type { Change } from "./change.ts";
import type { Step } from "./sqlite-messages.ts";
import { SQL } from "./sqlite-statements.ts";
import { toText } from "./stored-text.ts";

/** The statements that make one change. @throws TypeError if no statement can say it */
export function stepsOf(change: Change): Step[] {
  switch (change.type) {
    case "session_saved": {
      const { key, supervisor, conversationId, memory, savedAt } = change.session;
      const texts = [toText(key), toText(supervisor), toText(conversationId), JSON.stringify(memory)];
      return [step("saveSession", ...texts, savedAt)];
    }
    case "session_forgotten":
      return forgetting(toText(change.session));
    case "session_erased":
      return [...forgetting(toText(change.session)), step("renameSpender", toText(change.as), toText(change.session))];
    case "conversation_left": {
      const { session, conversationId, memory, leftAt } = change.conversation;
      return [step("leaveConversation", toText(session), toText(conversationId), JSON.stringify(memory), leftAt)];
    }
    case "conversation_erased":
      return [step("eraseConversation", toText(change.session), toText(change.conversationId))];
    case "turn_accepted": {
      const { id, session, prompt, promptKind = null, position, durable, acceptedAt } = change.turn;
      const texts = [toText(id), toText(session), toText(prompt), promptKind];
      const limits = [change.turn.timeoutMs ?? null, change.turn.queueTimeoutMs ?? null];
      return [step("acceptTurn", ...texts, position, Number(durable), ...limits, acceptedAt)];
    }
    case "turn_withdrawn":
      return [step("withdrawTurn", toText(change.turn))];
    case "turn_begun":
      return [step("beginTurn", toText(change.promptId), change.attempt, toText(change.turn))];
    case "turn_touched":
      return [step("touchTurn", toText(change.turn))];
    case "turn_requeued":
      return [step("requeueTurn", change.position, change.attempts ?? null, toText(change.turn))];
    case "turn_ended":
      return [step("endTurn", change.state, change.at, JSON.stringify(change.outcome), toText(change.turn))];
    case "spent":
      return change.models.map(({ model, costUsd, usage }) => {
        const texts = [change.supervisor, change.session, model, change.day].map(toText);
        const { inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens } = usage;
        const tokens = [inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens];
        return step("spend", ...texts, costUsd, ...tokens);
      });
    case "approval_requested": {
      const { id, session, tool, input, requestedAt } = change.approval;
      const texts = [toText(id), toText(session), toText(tool), JSON.stringify(input)];
      return [step("requestApproval", ...texts, requestedAt)];
    }
    case "approval_settled":
      return [step("settleApproval", change.outcome, change.at, toText(change.approval))];
    default:
      return change satisfies never;
  }
}

function forgetting(key: string): Step[] {
  const names = ["forgetSession", "forgetTurns", "forgetApprovals", "forgetConversations"] as const;
  return [step("leaveResidue"), ...names.map((name) => step(name, key))];
}

function step(name: keyof typeof SQL, ...parameters: SQLInputValue[]): Step {
  return { sql: SQL[name], parameters };
}
