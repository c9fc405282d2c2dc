// Asks for a home page, hides the first item of the answer, and asks again.
//
//   npm install && npm run generate
//   node recommend.mjs [user] [host:port]

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { EventService, EventType } from "./gen/protos/recsys/v1/event_service_pb.js";
import { RecommendationService, Tier } from "./gen/protos/recsys/v1/recommendation_service_pb.js";

const CONNECTIONS = 4;
const DEADLINE_MS = 1_000; // of a whole call, retries included
const ATTEMPTS = 3;

/** Repeats a call that the server could not take. Both methods are safe to repeat. */
const retry = (next) => async (request) => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await next(request);
    } catch (error) {
      const again = ConnectError.from(error).code === Code.Unavailable && attempt < ATTEMPTS;
      if (!again) throw error;
      // At random, so that many storefronts do not come back at the same instant.
      await sleep(20 * 2 ** attempt * Math.random(), undefined, { signal: request.signal });
    }
  }
};

/** Returns a function that gives a client of `service`, on each connection in turn. */
function clientsOf(service, transports) {
  const clients = transports.map((transport) => createClient(service, transport));
  let turn = 0;
  return () => clients[turn++ % clients.length];
}

/** Connects to the server: one connection stays with one worker, so a storefront holds several. */
function connect(address) {
  const transports = Array.from({ length: CONNECTIONS }, () =>
    createGrpcTransport({
      baseUrl: `http://${address}`,
      defaultTimeoutMs: DEADLINE_MS,
      interceptors: [retry],
    }),
  );
  const recommendations = clientsOf(RecommendationService, transports);
  const events = clientsOf(EventService, transports);
  return {
    recommend: (request) => recommendations().recommend(request),
    writeEvents: (...list) => events().writeEvents({ events: list }),
  };
}

function print(answer) {
  console.log(`${answer.placement}, ${Tier[answer.tier]}, release ${answer.bundleVersion}`);
  for (const { position, itemId, title, reason } of answer.items) {
    console.log(`  ${position}. ${title || itemId} (${itemId}): ${reason?.text}`);
  }
}

async function main(user = "1364", address = "127.0.0.1:50051") {
  const shop = connect(address);
  const asked = { placement: "home", userId: user, pageSize: 5 };

  const before = await shop.recommend(asked);
  print(before);
  if (before.items.length === 0) return;

  const unwanted = before.items[0].itemId;
  const written = await shop.writeEvents({
    eventId: randomUUID(), // made once for each event: a repeated one does not count twice
    type: EventType.HIDE,
    itemId: unwanted,
    userId: user,
    attributionToken: before.attributionToken, // says which list the customer reacted to
  });
  // A request can succeed while single events in it are refused.
  for (const { field, message } of written.rejected) console.error(`refused, ${field}: ${message}`);

  console.log(`hidden: ${unwanted}\n`);
  print(await shop.recommend(asked));
}

try {
  await main(...process.argv.slice(2));
} catch (error) {
  const { code, rawMessage } = ConnectError.from(error);
  console.error(`${Code[code]}: ${rawMessage}`);
  process.exitCode = 1;
}
