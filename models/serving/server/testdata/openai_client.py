"""Talks to `profuser serve` as a user would, with the official OpenAI client, and checks every reply.

Run: pip install openai==3.57.0
     python openai_client.py PROFUSER MODEL REWARD
PROFUSER is the compiled command, MODEL a language model's directory, REWARD a reward model's. Both are served on free
ports and stopped at the end. It prints a line for each thing that works; the first that does not ends it.
"""
import json, math, re, subprocess, sys, time, urllib.request

import openai


class Served:
    """A model behind profuser serve, and a client of it."""

    def __init__(self, binary, model):
        self.process = subprocess.Popen([binary, "serve", "--model", model, "--port", "0"], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.url = re.search(r"http://\S+", line).group()
        self.client = openai.OpenAI(base_url=self.url + "/v1", api_key="none", max_retries=0)

    def get(self, path):
        with urllib.request.urlopen(self.url + path) as reply:
            return reply.read().decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(15)


def check(what, ok, *shown):
    if not ok:
        sys.exit(f"FAILED: {what}: {shown}")
    print("ok ", what)


def refused(what, kind, text, call):
    try:
        call()
    except kind as e:
        check(what, text in str(e), e)
    else:
        check(what, False, "no error")


def completions(c, model):
    plain = c.completions.create(model=model, prompt="What is", max_tokens=8, temperature=0)
    check("completion", plain.choices[0].text and plain.usage.completion_tokens <= 8, plain)
    again = c.completions.create(model=model, prompt=["What is", "Name a"], n=2, max_tokens=8, temperature=0)
    check("several prompts, n", [x.index for x in again.choices] == [0, 1, 2, 3] and again.choices[1].text == plain.choices[0].text, again)
    drawn = [c.completions.create(model=model, prompt="What is", max_tokens=8, temperature=2.0, seed=s).choices[0].text for s in (3, 3, 4)]
    check("seed", drawn[0] == drawn[1], drawn)
    logged = c.completions.create(model=model, prompt="What is", max_tokens=4, temperature=0, logprobs=3).choices[0].logprobs
    top = logged.top_logprobs[0]
    check("logprobs", len(logged.tokens) == len(logged.token_logprobs) == len(logged.text_offset) and len(top) >= 3 and max(top.values()) == logged.token_logprobs[0], logged)
    check("log-probs are such", all(p <= 0 for p in logged.token_logprobs) and sum(math.exp(p) for p in top.values()) < 1.001, logged)
    echoed = c.completions.create(model=model, prompt="What is", max_tokens=2, temperature=0, logprobs=1, echo=True).choices[0]
    check("echo", echoed.text.startswith("What is") and echoed.logprobs.token_logprobs[0] is None and echoed.logprobs.token_logprobs[1] < 0, echoed)
    whole = plain.choices[0].text
    cut = c.completions.create(model=model, prompt="What is", max_tokens=8, temperature=0, stop=[whole[3:5]]).choices[0]
    check("stop", cut.text == whole.split(whole[3:5])[0] and cut.finish_reason == "stop", cut, whole)


def vllm_additions(c, model):
    r = c.completions.create(model=model, prompt=[300, 301, 302], max_tokens=2, temperature=0, logprobs=1, extra_body={
        "prompt_logprobs": 2, "return_tokens_as_token_ids": True, "return_token_ids": True})
    x = r.choices[0].model_dump()
    p = x["prompt_logprobs"]
    check("prompt_logprobs", len(p) == 3 and p[0] is None and p[1]["301"]["logprob"] < 0 and p[1]["301"]["rank"] >= 1 and len(p[2]) in (2, 3), p)
    check("return_token_ids", x["prompt_token_ids"] == [300, 301, 302] and len(x["token_ids"]) == len(x["logprobs"]["tokens"]), x)
    check("return_tokens_as_token_ids", x["logprobs"]["tokens"] == [f"token_id:{i}" for i in x["token_ids"]], x)


def chat(c, model):
    messages = [{"role": "user", "content": "What is 2 + 3?"}]
    r = c.chat.completions.create(model=model, messages=messages, max_tokens=16, temperature=0, logprobs=True, top_logprobs=2)
    entries = r.choices[0].logprobs.content
    check("chat", r.choices[0].message.role == "assistant" and r.choices[0].message.content and r.choices[0].finish_reason in ("stop", "length"), r)
    check("chat logprobs", len(entries) == r.usage.completion_tokens and all(len(e.top_logprobs) == 2 for e in entries), r)
    check("chat bytes", b"".join(bytes(e.bytes) for e in entries).decode() == r.choices[0].message.content, r)
    stream = list(c.chat.completions.create(model=model, messages=messages, max_tokens=16, temperature=0, stream=True, stream_options={"include_usage": True}))
    text = "".join(x.choices[0].delta.content or "" for x in stream if x.choices)
    check("chat stream", text == r.choices[0].message.content and stream[-1].usage.completion_tokens == r.usage.completion_tokens and len(stream) > 2, stream)
    ends = [x.choices[0].finish_reason for x in stream if x.choices]
    check("chat stream ends once", ends[-1] == r.choices[0].finish_reason and not any(ends[:-1]), ends)


def stream(c, model):
    ask = lambda **more: c.completions.create(model=model, prompt="What is", max_tokens=12, temperature=0, **more)
    whole = ask(logprobs=1)
    chunks = list(ask(logprobs=1, stream=True))
    texts = [x.choices[0].text for x in chunks]
    check("completion stream", "".join(texts) == whole.choices[0].text, chunks, whole)
    logged = [x.choices[0].logprobs for x in chunks if x.choices[0].logprobs]
    check("a chunk for each token", [l.tokens for l in logged] == [[t] for t in whole.choices[0].logprobs.tokens], logged, whole)
    check("log-probs and offsets of chunks", [(l.token_logprobs[0], l.text_offset[0]) for l in logged] ==
          list(zip(whole.choices[0].logprobs.token_logprobs, whole.choices[0].logprobs.text_offset)), logged, whole)
    text = whole.choices[0].text
    stopped = list(ask(stop=[text[4:7]], stream=True))
    check("stop in a stream", "".join(x.choices[0].text for x in stopped) == text.split(text[4:7])[0] and stopped[-1].choices[0].finish_reason == "stop", stopped, text)
    both = list(c.completions.create(model=model, prompt=["What is", "Name a"], n=2, max_tokens=12, temperature=0, stream=True))
    joined = ["".join(x.choices[0].text for x in both if x.choices[0].index == i) for i in range(4)]
    check("four choices in one stream", joined[0] == joined[1] == text and joined[2] == joined[3] != "", joined)
    echoed = "".join(x.choices[0].text for x in ask(echo=True, stream=True))
    check("echo in a stream", echoed == "What is" + text, echoed)
    with ask(stream=True) as left:  # a client that goes away in the middle
        next(iter(left))
    check("left early", ask().choices[0].text == text)


def parameters(c, model):
    ask = lambda **more: c.completions.create(model=model, prompt="one one one", max_tokens=12, seed=1, **more).choices[0].text
    greedy = ask(temperature=0)
    check("top_k 1 is greedy", ask(temperature=2, extra_body={"top_k": 1}) == greedy)
    check("min_p 1 is greedy", ask(temperature=2, extra_body={"min_p": 1}) == greedy)
    check("a tiny top_p is greedy", ask(temperature=2, top_p=1e-9) == greedy)
    check("repetition_penalty", ask(temperature=0, extra_body={"repetition_penalty": 5}) != greedy)
    refused("top_k -2", openai.BadRequestError, "top_k", lambda: ask(extra_body={"top_k": -2}))


def errors(c, model):
    refused("unknown model", openai.NotFoundError, "does not exist", lambda: c.completions.create(model="nobody", prompt="a"))
    refused("too long", openai.BadRequestError, "maximum context length", lambda: c.completions.create(model=model, prompt="a", max_tokens=100000))
    refused("not supported", openai.BadRequestError, "frequency_penalty", lambda: c.completions.create(model=model, prompt="a", frequency_penalty=1))
    refused("empty conversation", openai.BadRequestError, "messages", lambda: c.chat.completions.create(model=model, messages=[]))
    refused("embeddings", openai.NotFoundError, "no route", lambda: c.embeddings.create(model=model, input="a"))


def rewards(served, model):
    c = served.client
    messages = [{"role": "user", "content": "What is 2 + 3?"}, {"role": "assistant", "content": "5"}]
    post = lambda body: c.with_options(base_url=served.url).post("/classify", body={"model": model, **body}, cast_to=object)
    raw = post({"messages": messages, "use_activation": False})["data"][0]
    squeezed = post({"messages": messages})["data"][0]
    check("classify", raw["num_classes"] == 1 and abs(squeezed["probs"][0] - 1 / (1 + math.exp(-raw["probs"][0]))) < 1e-9, raw, squeezed)
    two = post({"input": ["a", "b"]})["data"]
    check("classify several", [x["index"] for x in two] == [0, 1], two)
    refused("a reward model does not write", openai.NotFoundError, "reward model", lambda: c.completions.create(model=model, prompt="a"))


def main(binary, model, reward):
    name = lambda path: path.rstrip("/").split("/")[-1]
    with Served(binary, model) as s:
        listed = s.client.models.list().data
        check("models", [m.id for m in listed] == [name(model)] and listed[0].model_dump()["max_model_len"] > 0, listed)
        check("health", json.loads(s.get("/health")) == {})
        for part in (completions, parameters, vllm_additions, chat, stream, errors):
            part(s.client, name(model))
        metrics = s.get("/metrics")
        check("metrics", re.search(r'profuser_tokens_total\{kind="generated"\} [1-9]', metrics) and re.search(r"profuser_requests_running 0", metrics), metrics)
    with Served(binary, reward) as s:
        rewards(s, name(reward))


if __name__ == "__main__":
    start = time.time()
    main(*sys.argv[1:])
    print(f"all in {time.time() - start:.1f} s, openai {openai.__version__}")
