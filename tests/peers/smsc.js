// An SMSC by the npm package `smpp`, for the integration tests: takes any account, keeps what it is sent, and does as it
// is told by lines of JSON on its standard input. Every event is a line of JSON on its standard output.

const smpp = require('smpp');
const readline = require('readline');

const tell = (event, more) => process.stdout.write(JSON.stringify({ event, ...more }) + '\n');
const sessions = new Set();
let count = 0;

const server = smpp.createServer({}, (session) => {
  session.on('error', (problem) => tell('error', { what: String(problem) }));
  session.on('close', () => sessions.delete(session));
  for (const kind of ['bind_transceiver', 'bind_transmitter', 'bind_receiver']) {
    session.on(kind, (pdu) => {
      session.kind = kind;
      sessions.add(session);
      session.send(pdu.response({ system_id: 'npm' }));
      tell('bind', { kind, system_id: pdu.system_id, password: pdu.password, version: pdu.interface_version });
    });
  }
  session.on('submit_sm', (pdu) => {
    const id = `npm-${++count}`;
    session.send(pdu.response({ message_id: id }));
    const body = pdu.message_payload || pdu.short_message;
    tell('submit', {
      id, to: pdu.destination_addr, from: pdu.source_addr, from_ton: pdu.source_addr_ton, coding: pdu.data_coding,
      esm_class: pdu.esm_class, priority: pdu.priority_flag, validity: pdu.validity_period,
      echo: pdu.user_message_reference, text: body.message, parts: (body.udh || []).map((e) => e.toString('hex')),
    });
  });
  session.on('query_sm', (pdu) => session.send(pdu.response({ message_id: pdu.message_id, message_state: 2 })));
  session.on('cancel_sm', (pdu) => session.send(pdu.response({ command_status: smpp.ESME_RCANCELFAIL })));
  session.on('enquire_link', (pdu) => { session.send(pdu.response()); tell('enquire_link'); });
  session.on('unbind', (pdu) => { session.send(pdu.response()); session.close(); tell('unbind'); });
});

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const fields = JSON.parse(line);
  for (const session of sessions) {
    if (session.kind === 'bind_transmitter') continue;
    session.deliver_sm(fields, (pdu) => tell('delivered', { status: pdu.command_status }));
    break;
  }
}).on('close', () => process.exit(0));

server.on('error', (problem) => tell('error', { what: String(problem) }));
server.listen(0, '127.0.0.1', () => tell('listening', { port: server.address().port }));
