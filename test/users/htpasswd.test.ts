import test from 'ava';
import fc from 'fast-check';
import { objectionToName, objectionToPassword, parseHtpasswd, withUser } from '../../src/users/htpasswd.ts';

const BODY = 'abcdefghijklmnopqrstuv0123456789012345678901234567890';
const hash = (prefix = '$2y$05$'): string => `${prefix}${BODY.slice(0, 53)}`;

test('entries of bcrypt are read, with comments, blank lines and the line ends of other systems', (t) => {
  const text = `# made by hand\r\nada:${hash('$2a$12$')}\r\n\n  grace:${hash('$2b$05$')}\nzoë:${hash()}`;
  const entries = parseHtpasswd(text, 'f');
  t.deepEqual([...entries.keys()], ['ada', 'grace', 'zoë']);
  t.deepEqual(entries.get('ada'), { hash: hash('$2a$12$'), cost: 12 });
  t.is(entries.get('constructor'), undefined);
});

test('anything but bcrypt is refused with its line, and without what stands there', (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [
      'ada:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=',
      /^dir\/f:2: expected the password of ada as bcrypt.*layover user add ada/,
    ],
    ['ada:$apr1$S6QY0aaT$x1jXzK2KP6cZ8vV0f0mAa.', /^dir\/f:2: .*bcrypt/],
    ['ada:$6$rounds=5000$salt$hash', /bcrypt/],
    ['ada:s3cret', /bcrypt/],
    ['ada:', /bcrypt/],
    [`ada:${hash('$2x$05$')}`, /bcrypt/],
    [`ada:${hash()}:more`, /bcrypt/],
    [`ada:${hash('$2y$03$')}`, /cost from 4 to 15 for ada, got 3/],
    [`ada:${hash('$2y$16$')}`, /cost from 4 to 15 for ada, got 16/],
    ['s3cret', /expected a line name:hash/],
    [`:${hash()}`, /expected a user name/],
    [`a da:${hash()}`, /expected a user name/],
    [`bob:${hash()}`, /expected bob once/],
  ];
  for (const [line, message] of cases) {
    const error = t.throws(() => parseHtpasswd(`bob:${hash()}\n${line}\n`, 'dir/f'), { message }, line);
    t.notRegex(error?.message ?? '', /s3cret|5en6|apr1|abcdef/, line);
  }
});

test('what a user may be called, and what a password may be', (t) => {
  for (const name of ['ada', 'a', 'ci-bot@example.com', 'Zoë', 'x#y']) t.is(objectionToName(name), undefined, name);
  for (const name of ['', 'a:b', 'a b', '#a', 'a\nb', 'a\u0000', 'a\u202eb', 'x'.repeat(129)])
    t.regex(objectionToName(name) ?? '', /128 characters/, name);
  for (const password of ['x', 'a b c', 'é'.repeat(36), '*)(uid=*']) t.is(objectionToPassword(password), undefined);
  t.regex(objectionToPassword('') ?? '', /empty/);
  t.regex(objectionToPassword('a\0b') ?? '', /NUL/);
  t.regex(objectionToPassword('x'.repeat(73)) ?? '', /72 bytes/);
  t.regex(objectionToPassword('é'.repeat(37)) ?? '', /72 bytes/);
});

test('a user is added, changed and taken out, and everybody else’s line stays as it was', (t) => {
  const name = fc.stringMatching(/^[a-z]{1,4}$/);
  fc.assert(
    fc.property(fc.array(name), name, fc.boolean(), (names, changed, isRemoved) => {
      const others = [...new Set(names)];
      const before = others.reduce((text, other) => withUser(text, other, hash()), '# kept\n');
      const after = parseHtpasswd(withUser(before, changed, isRemoved ? undefined : hash('$2b$12$')), 'f');
      t.is(after.get(changed)?.cost, isRemoved ? undefined : 12);
      for (const other of others) if (other !== changed) t.is(after.get(other)?.cost, 5);
    }),
  );
  t.is(withUser('# kept\nada:x\n', 'ada', undefined), '# kept\n');
  t.is(withUser('ada:x', 'bob', 'y'), 'ada:x\nbob:y\n');
});
