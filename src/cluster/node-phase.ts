/** Where a node is. `lost`: it was given up for dead, or had to take it that it was, and comes back as another run. */
export type NodePhase = "joining" | "member" | "lost" | "draining" | "left";

/** What can happen to a node. */
export type NodePhaseEvent = "joined" | "lost" | "drain" | "left";

/** The phase after `event`; one that cannot happen in `phase` leaves it as it is. */
export function nextNodePhase(phase: NodePhase, event: NodePhaseEvent): NodePhase {
  switch (event) {
    case "joined":
      return phase === "joining" || phase === "lost" ? "member" : phase;
    case "lost":
      return phase === "member" ? "lost" : phase;
    case "drain":
      return phase === "left" ? phase : "draining";
    case "left":
      return "left";
  }
}
