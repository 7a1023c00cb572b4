import type { ModelUsage } from "@anthropic-ai/claude-agent-sdk";

/** The usage of one turn: tokens, and US dollars. */
export interface FakeUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly costUsd: number;
}

/** The totals of a conversation. Claude Code reports totals, not differences, and continues them after a resume. */
export class FakeCosts {
  readonly #models: Map<string, ModelUsage>;

  constructor(models: ReadonlyMap<string, ModelUsage> = new Map()) {
    this.#models = new Map(models);
  }

  copy(): FakeCosts {
    return new FakeCosts(this.#models);
  }

  get totalCostUsd(): number {
    let total = 0;
    for (const usage of this.#models.values()) total += usage.costUSD;
    // Rounds, so that ten turns of a cent are ten cents and not 0.09999999999999999.
    return Math.round(total * 1e9) / 1e9;
  }

  get modelUsage(): Record<string, ModelUsage> {
    return Object.fromEntries(this.#models);
  }

  /** Adds a turn and returns the usage of that turn alone, in the same form. */
  add(model: string, usage: FakeUsage): Record<string, ModelUsage> {
    const before = this.#models.get(model);
    this.#models.set(model, entry(model, usage, before));
    return { [model]: entry(model, usage, undefined) };
  }
}

function entry(model: string, usage: FakeUsage, before: ModelUsage | undefined): ModelUsage {
  return {
    inputTokens: (before?.inputTokens ?? 0) + usage.inputTokens,
    outputTokens: (before?.outputTokens ?? 0) + usage.outputTokens,
    cacheReadInputTokens: 0,
    cacheCreationInputTokens: 0,
    webSearchRequests: 0,
    costUSD: Math.round(((before?.costUSD ?? 0) + usage.costUsd) * 1e9) / 1e9,
    contextWindow: 1_000_000,
    maxOutputTokens: 128_000,
    thinkingTokens: 0,
    cacheCreationEphemeral5mInputTokens: 0,
    cacheCreationEphemeral1hInputTokens: 0,
    canonicalModel: model,
    provider: "firstParty",
    costBasis: "list",
  };
}
