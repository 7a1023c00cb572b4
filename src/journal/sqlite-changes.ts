import type { Change } from "./change.ts";
import type { Statements } from "./sqlite-statements.ts";
import { toText } from "./stored-text.ts";

/** Makes one change, in the transaction that is open. */
export function makeChange(statements: Statements, change: Change): void {
  switch (change.type) {
    case "session_saved": {
      const { key, supervisor, conversationId, memory, savedAt } = change.session;
      const texts = [toText(key), toText(supervisor), toText(conversationId), JSON.stringify(memory)];
      statements.saveSession.run(...texts, savedAt);
      break;
    }
    case "session_forgotten":
      forget(statements, toText(change.session));
      break;
    case "session_erased":
      forget(statements, toText(change.session));
      statements.renameSpender.run(toText(change.as), toText(change.session));
      break;
    case "conversation_left": {
      const { session, conversationId, memory, leftAt } = change.conversation;
      statements.leaveConversation.run(toText(session), toText(conversationId), JSON.stringify(memory), leftAt);
      break;
    }
    case "conversation_erased":
      statements.eraseConversation.run(toText(change.session), toText(change.conversationId));
      break;
    case "turn_accepted": {
      const {
        id,
        session,
        prompt,
        promptKind = null,
        position,
        durable,
        timeoutMs,
        queueTimeoutMs,
        acceptedAt,
      } = change.turn;
      const texts = [toText(id), toText(session), toText(prompt)];
      const limits = [timeoutMs ?? null, queueTimeoutMs ?? null];
      statements.acceptTurn.run(...texts, promptKind, position, Number(durable), ...limits, acceptedAt);
      break;
    }
    case "turn_withdrawn":
      statements.withdrawTurn.run(toText(change.turn));
      break;
    case "turn_begun":
      statements.beginTurn.run(toText(change.promptId), change.attempt, toText(change.turn));
      break;
    case "turn_touched":
      statements.touchTurn.run(toText(change.turn));
      break;
    case "turn_requeued":
      statements.requeueTurn.run(change.position, change.attempts ?? null, toText(change.turn));
      break;
    case "turn_ended":
      statements.endTurn.run(change.state, change.at, JSON.stringify(change.outcome), toText(change.turn));
      break;
    case "spent":
      for (const { model, costUsd, usage } of change.models) {
        const texts = [change.supervisor, change.session, model, change.day].map(toText);
        const { inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens } = usage;
        statements.spend.run(
          ...texts,
          costUsd,
          inputTokens,
          outputTokens,
          cacheReadInputTokens,
          cacheCreationInputTokens,
        );
      }
      break;
    case "approval_requested": {
      const { id, session, tool, input, requestedAt } = change.approval;
      const texts = [toText(id), toText(session), toText(tool), JSON.stringify(input)];
      statements.requestApproval.run(...texts, requestedAt);
      break;
    }
    case "approval_settled":
      statements.settleApproval.run(change.outcome, change.at, toText(change.approval));
      break;
    default:
      change satisfies never;
  }
}

function forget(statements: Statements, key: string): void {
  statements.leaveResidue.run();
  statements.forgetSession.run(key);
  statements.forgetTurns.run(key);
  statements.forgetApprovals.run(key);
  statements.forgetConversations.run(key);
}
