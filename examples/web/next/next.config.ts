// #region config
// next.config.ts
import type { NextConfig } from "next";

export default {
  serverExternalPackages: ["castellan", "@anthropic-ai/claude-agent-sdk"],
} satisfies NextConfig;
// #endregion
