// The browser of prompts: a list that draws only the rows in sight, filters, a search over all texts, and one prompt in full.
// Data stand in the page as compressed JSON; whatever models wrote becomes text nodes, never HTML.
(() => {
  'use strict';
  const root = document.getElementById('browser');
  const one = selector => root.querySelector(selector);
  const form = one('form'), status = one('.status'), panes = one('.panes'), list = one('.list'), rows = one('.rows'), article = one('.prompt');
  const rowHeight = 46; // as in browser.css
  const flag = { modesDisagree: 1, judgesDisagree: 2, hasKey: 4, winnerRight: 8, someRight: 16, someWrong: 32, hasTokens: 64, judgesKnown: 128 };
  const modes = ['inference', 'training'];
  const kinds = ['none', 'exact', 'boundary', 'inner', 'one-hot'];
  const kindText = {
    none: 'the teacher’s opinion is not known here, no weight', exact: 'the source’s token covers the same bytes', boundary: 'they start together',
    inner: 'starts inside a source’s token', 'one-hot': 'the text’s token alone',
  };

  let index = null; // see type index in section.go
  let texts = []; // what is searched, lower case, by prompt; filled in the background
  let found = []; // numbers of the prompts that the filters leave
  let chosen = -1; // the prompt shown
  let coloured = 'status';

  // unpack reads one piece of data; null if the page has none of that name.
  const unpack = async name => {
    const element = document.getElementById('browser-' + name);
    if (!element) return null;
    const characters = atob(element.textContent);
    const bytes = new Uint8Array(characters.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).json();
  };

  // make creates an element; children are elements or texts.
  const make = (name, className, ...children) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    element.append(...children.filter(child => child !== null && child !== undefined));
    return element;
  };
  const count = (n, word) => n.toLocaleString('en') + ' ' + word + (n === 1 ? '' : 's');
  const number = (x, digits) => x === null || x === undefined ? '–' : x.toFixed(digits);
  const modelName = (model, sample) => index.models[model] + (sample ? ' #' + (sample + 1) : '');

  // Which prompts.

  const wordsOf = query => [...query.toLowerCase().matchAll(/"([^"]+)"|[^\s"]+/g)].map(match => match[1] || match[0]);

  const fits = (i, f) => {
    const flags = index.flags[i], inference = index.winners.inference[i], training = index.winners.training[i];
    if (f.tag !== '' && index.tag[i] !== +f.tag) return false;
    if (f.tokens && !(flags & flag.hasTokens)) return false;
    if (f.winner !== '') {
      const wins = [inference === +f.winner, training === +f.winner];
      if (f.mode === 'both' ? !(wins[0] && wins[1]) : f.mode === 'inference' ? !wins[0] : f.mode === 'training' ? !wins[1] : !(wins[0] || wins[1])) return false;
    } else if (f.mode !== '') {
      if (f.mode !== 'training' && inference < 0 || f.mode !== 'inference' && training < 0) return false;
    }
    switch (f.agreement) {
      case 'modes': if (!(flags & flag.modesDisagree)) return false; break;
      case 'same': if (flags & flag.modesDisagree || inference < 0 || training < 0) return false; break;
      case 'judges': if (!(flags & flag.judgesDisagree)) return false; break;
      case 'judged': if (flags & flag.judgesDisagree || !(flags & flag.judgesKnown)) return false; break;
    }
    const right = flags & flag.someRight, wrong = flags & flag.someWrong;
    switch (f.answers) {
      case 'right': return !!(flags & flag.winnerRight);
      case 'missed': return inference >= 0 && !(flags & flag.winnerRight) && !!right;
      case 'none': return !right && !!wrong;
      case 'all': return !!right && !wrong;
    }
    return true;
  };

  const filter = () => {
    const field = name => form.elements[name];
    const f = { tokens: field('tokens').checked };
    for (const name of ['tag', 'winner', 'mode', 'agreement', 'answers']) f[name] = field(name).value;
    const words = wordsOf(field('query').value);
    const before = found[0];
    found = [];
    for (let i = 0; i < index.ids.length; i++) {
      if (!fits(i, f)) continue;
      if (words.length && !(texts[i] !== undefined && words.every(word => texts[i].includes(word) || word.length >= 8 && index.ids[i].startsWith(word)))) continue;
      found.push(i);
    }
    const reading = words.length && texts.length < index.ids.length ? ` Reading the texts: ${Math.floor(100 * texts.length / index.ids.length)} %.` : '';
    status.textContent = `${found.length.toLocaleString('en')} of ${count(index.ids.length, 'prompt')}.${reading}`;
    if (found[0] !== before) list.scrollTop = 0;
    draw();
  };

  // The list.

  const aboutRow = i => {
    const parts = [];
    if (index.tag[i] >= 0) parts.push(index.tags[index.tag[i]]);
    const [a, b] = modes.map(mode => index.winners[mode][i]);
    if (a >= 0) parts.push('★ ' + index.models[a]);
    if (b >= 0) parts.push('◆ ' + index.models[b]);
    if (index.flags[i] & flag.hasKey && a >= 0) parts.push(index.flags[i] & flag.winnerRight ? '✓' : '✗');
    return parts.join(' · ') || index.ids[i].slice(0, 8);
  };

  const draw = () => {
    rows.style.height = found.length * rowHeight + 'px';
    const first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - 4);
    const last = Math.min(found.length, Math.ceil((list.scrollTop + list.clientHeight) / rowHeight) + 4);
    const shown = [];
    for (let place = first; place < last; place++) {
      const i = found[place];
      const row = make('div', 'row', make('span', '', index.beginnings[i]), make('span', 'about', aboutRow(i)));
      row.id = 'browser-row-' + i;
      row.style.top = place * rowHeight + 'px';
      row.dataset.number = i;
      row.setAttribute('role', 'option');
      row.setAttribute('aria-selected', i === chosen);
      row.setAttribute('aria-posinset', place + 1);
      row.setAttribute('aria-setsize', found.length);
      shown.push(row);
    }
    rows.replaceChildren(...shown);
    if (document.getElementById('browser-row-' + chosen)) list.setAttribute('aria-activedescendant', 'browser-row-' + chosen);
    else list.removeAttribute('aria-activedescendant');
  };

  // move chooses the prompt that many places further in the list.
  const move = by => {
    if (!found.length) return;
    const at = found.indexOf(chosen);
    choose(found[Math.max(0, Math.min(found.length - 1, at < 0 ? 0 : at + by))]);
  };

  const reveal = () => {
    const top = found.indexOf(chosen) * rowHeight;
    if (top < 0) return;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + rowHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight - list.clientHeight;
  };

  // One prompt.

  const cache = new Map(); // the chunks read last
  const chunk = name => {
    if (!cache.has(name)) {
      cache.set(name, unpack(name));
      if (cache.size > 8) cache.delete(cache.keys().next().value);
    }
    return cache.get(name);
  };

  // choose shows a prompt; a reader's choice becomes the page's address.
  const choose = async (i, byReader = true) => {
    chosen = i;
    reveal();
    draw();
    const k = Math.floor(i / index.chunk);
    const [prompts, tokens] = await Promise.all([chunk('prompts-' + k), chunk('tokens-' + k)]);
    if (chosen !== i) return; // another one was chosen meanwhile
    article.replaceChildren(...parts(i, prompts[i % index.chunk], tokens && tokens.strips[i], tokens && tokens.vocabulary));
    if (byReader) try { history.replaceState(null, '', '#prompt-' + index.ids[i]); } catch { /* a page without an address of its own */ }
  };

  const parts = (i, prompt, strips, vocabulary) => {
    const place = found.indexOf(i);
    const step = (by, text) => {
      const button = make('button', '', text);
      button.type = 'button';
      button.disabled = place < 0 || !(place + by in found);
      button.onclick = () => { move(by); };
      return button;
    };
    const out = [make('div', 'bar', make('h3', '', 'Prompt ' + (i + 1), ...(prompt.tags || []).map(tag => make('span', 'mark', tag))), step(-1, '← previous'), step(1, 'next →'))];
    out.push(make('p', 'soft', 'id ' + prompt.id + (prompt.external ? ', ' + prompt.external + ' in the input' : '')));
    for (const [role, content] of prompt.messages) out.push(make('p', 'turn', make('b', '', role), content));
    if (prompt.reference !== undefined) out.push(make('p', 'reference', make('b', '', 'reference' + (prompt.answer && prompt.answer.length < 60 ? ', final answer ' + prompt.answer : '')), prompt.reference));
    if (prompt.responses.length || prompt.nats.some(x => x !== null)) out.push(answers(prompt));
    if (strips) out.push(legend());
    for (const mode of modes) out.push(...modeParts(mode, prompt, strips && strips[mode], vocabulary));
    return out;
  };

  // answers are the competitors side by side: their responses, scores, votes, and readings of the reference.
  const answers = prompt => {
    const box = make('div', 'answers');
    index.models.forEach((name, model) => {
      if (model >= prompt.nats.length) return; // a mixture is nobody's answer
      const own = prompt.responses.filter(response => response.model === model);
      (own.length ? own : [null]).forEach((response, nth) => box.append(answer(prompt, model, response, nth === 0)));
    });
    return box;
  };

  const answer = (prompt, model, response, first) => {
    const { inference, training } = prompt.won;
    const wins = !!response && !!inference && inference.model === model && inference.sample === response.sample;
    const reads = first && !!training && training.model === model;
    const head = make('h4', '', modelName(model, response ? response.sample : 0));
    if (wins) head.append(make('span', 'mark', '★ wins inference'));
    if (reads) head.append(make('span', 'mark', '◆ wins training'));
    if (response && response.right !== undefined) head.append(make('span', 'mark ' + (response.right ? 'right' : 'wrong'), response.right ? '✓ right' : '✗ wrong'));
    const facts = make('dl');
    const fact = (name, value) => { facts.append(make('dt', '', name), make('dd', '', value)); };
    if (response) {
      index.judges.forEach((judge, j) => { if (response.scores[j] !== null) fact(judge, (response.best.includes(j) ? '▲ ' : '') + number(response.scores[j], 2)); });
      if (response.votes !== undefined) fact('votes', String(response.votes));
      if (response.value !== undefined) fact(index.method === 'vote' ? 'mean z' : index.method, number(response.value, 3));
    }
    if (first && prompt.nats[model] !== null) fact('reference, nats per byte', number(prompt.nats[model], 4));
    const text = make('div', 'text', response ? response.text : '');
    if (!response) text.append(make('i', 'soft', 'no response'));
    if (response && !response.text) text.append(make('i', 'soft', 'empty'));
    if (response && response.cut) text.append(make('i', 'soft', ' (cut at the token limit)'));
    return make('div', wins || reads ? 'answer wins' : 'answer', head, text, response && response.dropped ? make('p', 'soft', 'no candidate: ' + response.dropped) : null, facts.children.length ? facts : null);
  };

  // why says what decided a mode.
  const why = (mode, prompt, winner) => {
    const name = modelName(winner.model, winner.sample);
    if (winner.model >= prompt.nats.length) return `the distributions of ${count(winner.of, 'source')} are averaged`;
    if (winner.of === 1) return `${name} is the only candidate`;
    const lead = winner.margin === undefined ? '' : winner.margin === 0 ? '; the runner-up is equal in what is compared first' : `; ${winner.margin} ahead of the runner-up`;
    if (mode === 'training') return `${name} reads the reference with the fewest ${index.measure}, ${number(winner.value, 4)}${lead}`;
    const response = prompt.responses.find(r => r.model === winner.model && r.sample === winner.sample);
    const votes = response && response.votes !== undefined ? `${response.votes} of ${count(index.judges.length, 'vote')}` : '';
    if (index.method === 'vote') return `${name} has ${votes}${lead}`;
    return `${name} is first by ${index.method}, ${number(winner.value, 4)}${lead}` + (votes ? `; it has ${votes}` : '');
  };

  const modeParts = (mode, prompt, strip, vocabulary) => {
    const winner = prompt.won[mode];
    if (!winner) {
      if (!index.winners[mode].some(model => model >= 0)) return [];
      const reason = mode === 'training' && prompt.reference === undefined ? 'the prompt has no reference' : 'it was rejected (profuser inspect tells why)';
      return [make('h4', 'mode', mode + ' mode'), make('p', 'why soft', 'No winner: ' + reason + '.')];
    }
    const out = [make('h4', 'mode', mode + ' mode'), make('p', 'why', (mode === 'training' ? '◆ ' : '★ ') + why(mode, prompt, winner) + '.')];
    if (strip) out.push(...tokensOf(mode, strip, vocabulary));
    return out;
  };

  // Tokens.

  const percent = share => share < 0 ? 'not stored' : share === 0 ? '< 0.1 %' : (share / 10).toFixed(1) + ' %';

  const tokenElement = (text, kind, share) => {
    const element = make('span', `token s${kind} k${kind}` + (share < 500 ? ' unlikely' : ''), text);
    element.style.backgroundSize = '100% ' + Math.max(0, share) / 10 + '%';
    return element;
  };

  // tokensOf draws a text's target tokens: one stop of the tab key, arrow keys go from token to token.
  const tokensOf = (mode, strip, vocabulary) => {
    const box = make('div', 'tokens'), panel = make('div', 'entries');
    const elements = strip.tokens.map((token, i) => tokenElement(vocabulary[token], +strip.status[i], strip.own[i]));
    const starts = [];
    let first = 0;
    for (const n of strip.counts) { starts.push(first); first += Math.min(5, n); }
    let at = -1;
    const show = i => {
      if (i < 0 || i >= elements.length || i === at) return;
      if (at >= 0) elements[at].classList.remove('on');
      at = i;
      elements[i].classList.add('on');
      const kind = kinds[+strip.status[i]];
      const table = make('table');
      for (let k = starts[i]; k < starts[i] + Math.min(5, strip.counts[i]); k++) {
        const meter = make('meter');
        meter.value = strip.shares[k] / 1000;
        meter.setAttribute('aria-hidden', 'true');
        table.append(make('tr', '', make('td', '', vocabulary[strip.ids[k]] + (strip.ids[k] === strip.tokens[i] ? ' ←' : '')), make('td', '', meter), make('td', '', percent(strip.shares[k]))));
      }
      const more = strip.counts[i] > 5 ? `${strip.counts[i] - 5} more entries.` : '';
      panel.classList.add('used');
      panel.replaceChildren(make('div', '', `Token ${i + 1} of ${elements.length}, “${vocabulary[strip.tokens[i]]}”: ${kind} (${kindText[kind]}); probability ${percent(strip.own[i])}. ${more}`), table);
    };
    box.tabIndex = 0;
    box.setAttribute('role', 'group');
    box.setAttribute('aria-label', `Target tokens of the ${mode} mode example; arrow keys go from token to token`);
    panel.setAttribute('role', 'status');
    panel.append(make('span', 'soft', 'Point at a token, or go there with the arrow keys, to see its most probable entries.'));
    box.append(...elements);
    box.classList.toggle('likely', coloured === 'likely');
    box.onpointerover = box.onclick = event => { show(elements.indexOf(event.target)); };
    box.onfocus = () => { if (at < 0) show(0); };
    box.onkeydown = event => {
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + 10, ArrowUp: at - 10, Home: 0, End: elements.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      show(Math.max(0, Math.min(elements.length - 1, to)));
      elements[at].scrollIntoView({ block: 'nearest' });
    };
    return [box, panel];
  };

  // legend says what the colours mean, and switches them.
  const legend = () => {
    const box = make('div'), keys = make('p', 'legend');
    const choice = make('fieldset', 'by', make('legend', 'soft', 'Colours of the tokens'));
    const apply = () => {
      for (const tokens of article.querySelectorAll('.tokens')) tokens.classList.toggle('likely', coloured === 'likely');
      keys.replaceChildren(...(coloured === 'status' ? ['exact', 'boundary', 'inner', 'none', 'one-hot'].map(kind => make('span', '', tokenElement('token', kinds.indexOf(kind), 1000), `${kind}: ${kindText[kind]}`)) :
        [[1000, 'sure'], [600, '60 %'], [200, '20 %, under one half'], [-1, 'not stored']].map(([share, text]) => make('span', '', tokenElement('token', 1, share), text))));
      keys.classList.toggle('likely', coloured === 'likely');
    };
    for (const [value, text] of [['status', 'how the distribution came there'], ['likely', 'probability of the text’s token']]) {
      const radio = make('input');
      radio.type = 'radio'; radio.name = 'browser-colours'; radio.checked = coloured === value;
      radio.onchange = () => { coloured = value; apply(); };
      choice.append(make('label', '', radio, text));
    }
    box.append(choice, keys);
    apply();
    return box;
  };

  // Start.

  const options = (name, texts, all) => {
    const select = form.elements[name];
    select.append(new Option(all, ''), ...texts.map((text, i) => new Option(text, i)));
    select.closest('label').hidden = texts.length === 0;
  };

  const readTexts = async () => {
    const last = Math.ceil(index.ids.length / index.chunk);
    for (let k = 0; k < last; k++) {
      for (const prompt of await unpack('prompts-' + k)) {
        const all = [prompt.external || '', ...(prompt.tags || []), prompt.reference || ''];
        for (const message of prompt.messages) all.push(message[1]);
        for (const response of prompt.responses) all.push(response.text);
        texts.push(all.join('\n').toLowerCase());
      }
      if (k % 16 === 15 && form.elements.query.value) filter();
    }
    root.dataset.searchable = Math.round(performance.now());
    if (form.elements.query.value) filter();
  };

  const start = async () => {
    if (typeof DecompressionStream === 'undefined') {
      status.textContent = 'Looking through the prompts needs a browser of 2023 or newer (DecompressionStream).';
      return;
    }
    index = await unpack('index');
    options('tag', index.tags, 'any');
    options('winner', index.models, 'any');
    form.hidden = panes.hidden = false;
    let timer = 0;
    form.oninput = () => { clearTimeout(timer); timer = setTimeout(filter, 80); };
    form.onreset = () => { setTimeout(filter, 0); };
    form.onsubmit = event => { event.preventDefault(); filter(); };
    list.onscroll = draw;
    list.onclick = event => {
      const row = event.target.closest('.row');
      if (row) choose(+row.dataset.number).then(() => { if (matchMedia('(max-width: 820px)').matches) article.scrollIntoView({ block: 'start' }); });
    };
    list.onkeydown = event => {
      const page = Math.max(1, Math.floor(list.clientHeight / rowHeight) - 1);
      const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -found.length, End: found.length }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      move(by);
    };
    addEventListener('resize', draw);
    filter();
    const addressed = () => location.hash.startsWith('#prompt-') ? index.ids.indexOf(location.hash.slice(8)) : -1;
    addEventListener('hashchange', () => { if (addressed() >= 0) choose(addressed()); });
    const at = addressed();
    chosen = at >= 0 ? at : found[0];
    root.dataset.usable = Math.round(performance.now());
    await choose(chosen, false);
    if (at >= 0) root.scrollIntoView();
    await readTexts();
  };

  start().catch(fault => { status.textContent = 'The prompts cannot be read: ' + fault; });
})();
