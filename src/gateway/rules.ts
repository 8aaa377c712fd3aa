import type { UpstreamConfig } from '../config/config.ts';
import { matchesImage } from '../oci/name.ts';
import { parseEndpoint } from '../oci/route.ts';
import type { RouteTable } from './door.ts';
import type { PassTarget, Target } from './target.ts';

/** The rule of an upstream's `deny` or `allow` that forbids what is asked for, in words; `undefined` when none does. */
export function ruleAgainst(table: Pick<RouteTable, 'upstream'>, target: Target): string | undefined {
  const subject = subjectOf(target);
  if (subject !== undefined) {
    const { upstream, name } = subject.repository;
    const rules = table.upstream(upstream);
    return rules && broken(rules, name, subject.reference?.tag);
  }
  const rules = target.kind === 'pass' && target.api ? table.upstream(target.upstream) : undefined;
  if (rules === undefined || (rules.allow === undefined && rules.deny.length === 0)) return undefined;
  // A registry may read a repository out of a path that we cannot.
  const isUnclear = target.kind === 'pass' && parseEndpoint(target.path.split('?', 1)[0] ?? '').kind === 'unknown';
  return isUnclear
    ? `upstreams.${rules.template ?? rules.name} has rules, and this path names no repository to judge`
    : undefined;
}

function subjectOf(target: Target): PassTarget['subject'] {
  if (target.kind === 'pass') return target.subject;
  return target.kind === 'registry' && 'repository' in target.route ? target.route : undefined;
}

/** A digest, and what concerns the whole repository, is judged by the repository alone. */
function broken(rules: UpstreamConfig, name: string, tag: string | undefined): string | undefined {
  const { allow, deny, template: key = rules.name } = rules;
  const denied = deny.find((rule) => (tag !== undefined || !rule.includes(':')) && matchesImage(rule, name, tag));
  if (denied !== undefined) return `denied by upstreams.${key}.deny: ${JSON.stringify(denied)}`;
  const isAllowed = allow?.some((rule) => matchesImage(rule, name, tag)) ?? true;
  return isAllowed ? undefined : `not in upstreams.${key}.allow`;
}
