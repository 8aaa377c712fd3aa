import test from 'ava';
import { raw, start, text } from './start.ts';

const HIDDEN = 'GET /v2/a/manifests/hidden HTTP/1.1\r\nHost: registry.example\r\n\r\n';

/** First requests that another reader may see an end of elsewhere, each with what comes behind it. */
const AMBIGUOUS: Readonly<Record<string, string>> = {
  'a transfer coding in a list': `POST /v2/ HTTP/1.1\r\nHost: registry.example\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  'a GET with a body': `GET /v2/ HTTP/1.1\r\nHost: registry.example\r\nContent-Length: 4\r\n\r\nbody${HIDDEN}`,
  'two hosts': `GET /v2/ HTTP/1.1\r\nHost: registry.example\r\nHost: x\r\n\r\n${HIDDEN}`,
  'another host than in the handshake': `GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n${HIDDEN}`,
  'no version': `GET /v2/\r\nHost: registry.example\r\n\r\n${HIDDEN}`,
  'another version': `GET /v2/ HTTP/2.0\r\nHost: registry.example\r\n\r\n${HIDDEN}`,
};

for (const [what, bytes] of Object.entries(AMBIGUOUS)) {
  test(`a request with ${what} is refused, and what seems to follow on its connection is not acted upon`, async (t) => {
    const acted: string[] = [];
    const running = await start(t, {
      endpoints: async ({ route }) => {
        acted.push(route.kind);
        return text('acted');
      },
    });
    const { received, ended } = await raw(running, 'tls', bytes);
    t.regex(received, /^HTTP\/1\.1 (400|421|505) [\s\S]*\r\nConnection: close\r\n/);
    t.is(received.match(/^HTTP\/1\.1 /gm)?.length, 1);
    t.true(ended);
    t.deepEqual(acted, []);
  });
}

test('honest requests in a row are all answered', async (t) => {
  const running = await start(t);
  const last = HIDDEN.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n');
  const { received } = await raw(running, 'tls', HIDDEN + HIDDEN + last);
  t.is(received.match(/HTTP\/1\.1 200 /g)?.length, 3);
});
