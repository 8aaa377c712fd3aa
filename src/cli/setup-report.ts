import type { Consequences } from '../setup/commands.ts';
import { differenceOf } from '../setup/difference.ts';
import type { Plan } from '../setup/plan.ts';
import type { Client, Recipe } from '../setup/recipe.ts';

/** What was found out before anything is done. */
export interface Report {
  readonly client: Client;
  /** Undefined for an undo. */
  readonly recipe: Recipe | undefined;
  readonly plan: Plan;
  readonly consequences: Consequences;
  /** There is nothing to do. */
  readonly isIdle: boolean;
  readonly isMachine: boolean;
}

/** What would be done, or was done, for people. */
export function reportText(
  { client, recipe, plan, consequences, isIdle, isMachine }: Report,
  state: 'planned' | 'applied',
): string {
  const isDone = state === 'applied';
  const head =
    recipe === undefined
      ? `${client}: what layover setup did ${isDone ? 'is' : 'would be'} taken out`
      : `${client}: ${recipe.way}`;
  const changes = plan.changes.map((change) => `\n${differenceOf(change)}`).join('');
  const left = isIdle ? [] : [...(recipe?.left ?? []), ...consequences.left];
  const commands = isMachine
    ? `commands that ${isDone ? 'were' : 'would be'} run`
    : 'to be run inside, since nothing is run for another root';
  return [
    `${head}\n`,
    isIdle ? '\nnothing to change\n' : changes,
    list(commands, consequences.run),
    list('left to you', left),
    list('to know', [...(isIdle ? [] : (recipe?.remarks ?? [])), ...plan.remarks]),
    recipe === undefined ? '' : list('while the gateway is down', [recipe.whenDown]),
    isDone || isIdle ? '' : '\nnothing was changed; add --apply to do it\n',
  ].join('');
}

function list(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : `\n${title}:\n${lines.map((line) => `  ${line}\n`).join('')}`;
}
