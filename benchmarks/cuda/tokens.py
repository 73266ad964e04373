"""Tokens beside those of audiocraft's own loop, on the same device and seed.

In float64 they are the same. In float32 the two round differently: the scores along given tokens
are near each other, and where a token differs the choice was so close that rounding decides it.
"""

from collections.abc import Iterator

import torch

from benchmarks.cuda.stage import WISHES, Stage, finish
from benchmarks.cuda.tally import Tally
from benchmarks.report import Row
from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.sampling import Sampling
from tests.support.forced import error, first_scores, teacher_forced
from tests.support.random_lm import MONO, STEREO, LMModel, understood, wish

SAMPLINGS = (
    Sampling(),
    Sampling(guidance=1.0, temperature=0.7, top_k=10),
    Sampling(guidance=4.5, temperature=1.3, top_k=0),
    Sampling(top_k=1),
)
NEAR = 1e-4
"""How far scores in float32 may be apart, in their standard deviations."""

TIE = 1e-3
"""Two tokens whose noisy chances differ by a thousandth are a tie to float32."""


def rows(stage: Stage) -> Iterator[Row]:
    """Compare in float64, then in float32."""
    yield from _equal(stage)
    yield _scores(stage)
    yield _ties(stage)


def _equal(stage: Stage) -> Iterator[Row]:
    tallies = {
        graphs: Tally(f"tokens that equal audiocraft's in float64, {how}", "tokens")
        for graphs, how in ((False, "launched one by one"), (True, "in graphs"))
    }
    for delays in (MONO, STEREO):
        model = stage.model(torch.float64, delays=delays)
        decoders = {each: _decoder(stage, model, Precision.FLOAT64, each) for each in tallies}
        for given in stage.scale.prompts:
            prompt = stage.codes(given, model.num_codebooks, model.card)
            for sampling in SAMPLINGS:
                theirs = drawn_by_audiocraft(stage, model, prompt, sampling)
                for graphs, decoder in decoders.items():
                    ours = _drawn(stage, decoder, model, prompt, sampling)
                    what = f"{len(delays)} codebooks after {given} frames by {sampling}"
                    tallies[graphs].add(what, int((ours == theirs).sum()), theirs.numel())
    for tally in tallies.values():
        yield tally.row()


def _decoder(stage: Stage, model: LMModel, precision: Precision, graphs: bool) -> Decoder:
    positions = max(stage.scale.prompts) + stage.scale.frames + 4
    return stage.decoder(model, precision, slots=2, positions=positions, graphs=graphs)


def _drawn(
    stage: Stage, decoder: Decoder, model: LMModel, prompt: torch.Tensor, sampling: Sampling
) -> torch.Tensor:
    frames = prompt.shape[-1] + stage.scale.frames
    slot = stage.begin(decoder, model, WISHES[0], frames=frames, prompt=prompt, sampling=sampling)
    return finish(decoder, slot)


def drawn_by_audiocraft(
    stage: Stage, model: LMModel, prompt: torch.Tensor, sampling: Sampling
) -> torch.Tensor:
    """Return the codes that audiocraft's own loop draws for the first of the wishes."""
    torch.manual_seed(7)
    codes: torch.Tensor = model.generate(
        prompt[None],
        [wish(WISHES[0])],
        max_gen_len=prompt.shape[-1] + stage.scale.frames,
        use_sampling=True,
        temp=sampling.temperature,
        top_k=sampling.top_k,
        cfg_coef=sampling.guidance,
    )
    return codes[0]


def scores_of_audiocraft(model: LMModel, codes: torch.Tensor) -> torch.Tensor:
    """Return audiocraft's scores [steps, 2, codebooks, card] along codes [codebooks, frames]."""
    from audiocraft.modules.conditioners import ClassifierFreeGuidanceDropout

    texts = [wish(WISHES[0])]
    texts += ClassifierFreeGuidanceDropout(p=1.0)(texts)
    words = model.condition_provider(model.condition_provider.tokenize(texts))
    frames = codes.shape[-1]
    pattern = model.pattern_provider.get_pattern(frames)
    sequence, _, _ = pattern.build_pattern_sequence(codes[None], model.special_token_id)
    tokens = sequence[..., :frames].repeat(2, 1, 1)
    with torch.no_grad():
        scores: torch.Tensor = model(tokens, conditions=[], condition_tensors=words)
    return scores.permute(2, 0, 1, 3)


def _scores(stage: Stage) -> Row:
    worst = 0.0
    for delays in (MONO, STEREO):
        model = stage.model(torch.float32, delays=delays)
        decoder = _decoder(stage, model, Precision.FLOAT32, graphs=False)
        frames = max(stage.scale.prompts) + stage.scale.frames
        codes = stage.codes(frames, model.num_codebooks, model.card)
        found = teacher_forced(decoder, decoder.read(understood(model, WISHES[0])), codes)
        worst = max(worst, error(scores_of_audiocraft(model, codes).double(), found))
    return Row(
        name="scores in float32 along given tokens: the largest difference from audiocraft's",
        ours=worst,
        theirs=1.0,
        unit="standard deviations",
        at_most=NEAR,
    )


def _ties(stage: Stage) -> Row:
    tally = Tally("takes in float32 that equal audiocraft's or part at a near-tie", "takes")
    differ, widest = 0, 0.0
    for delays in (MONO, STEREO):
        model = stage.model(torch.float32, delays=delays)
        decoder = _decoder(stage, model, Precision.FLOAT32, graphs=False)
        for given in stage.scale.prompts:
            prompt = stage.codes(given, model.num_codebooks, model.card)
            for sampling in SAMPLINGS[:-1]:  # where one is left a tie is no matter of noise
                theirs = drawn_by_audiocraft(stage, model, prompt, sampling)
                ours = _drawn(stage, decoder, model, prompt, sampling)
                margin = 0.0
                if not torch.equal(ours, theirs):
                    differ += 1
                    margin = Difference(ours, theirs, delays).margin(
                        stage, decoder, model, prompt, sampling
                    )
                widest = max(widest, margin)
                tally.add(f"{len(delays)} codebooks after {given} frames", margin <= TIE)
    tally.notes.append(f"{differ} differ; the widest margin is {widest:.1e}")
    return tally.row()


class Difference:
    """The first token in which two takes differ, in the order of their drawing."""

    def __init__(self, ours: torch.Tensor, theirs: torch.Tensor, delays: tuple[int, ...]) -> None:
        at = [(int(f) + delays[int(k)], int(k)) for k, f in (ours != theirs).nonzero()]
        self.step, self.codebook = min(at)
        frame = self.step - delays[self.codebook]
        self.tokens = [int(codes[self.codebook, frame]) for codes in (ours, theirs)]

    def margin(
        self,
        stage: Stage,
        decoder: Decoder,
        model: LMModel,
        prompt: torch.Tensor,
        sampling: Sampling,
    ) -> float:
        """Return by how much the logarithm of a chance decided between the two."""
        frames = prompt.shape[-1] + stage.scale.frames
        slot = stage.begin(
            decoder, model, WISHES[0], frames=frames, prompt=prompt, sampling=sampling
        )
        while slot.position < self.step:
            decoder.step()
        (scores,) = first_scores(decoder, 1)
        noise = decoder.noise[0, self.codebook].double()
        decoder.release(slot)
        return margin(scores[:, self.codebook].double(), noise, sampling, self.tokens)


def margin(
    scores: torch.Tensor, noise: torch.Tensor, sampling: Sampling, tokens: list[int]
) -> float:
    """Return how far two tokens are apart where one is drawn, or one's rank lets it take part.

    `scores` [2 (with words, without), card] and `noise` [card] are those that they are drawn by.
    """
    with_words, without = scores
    logarithms = without + (with_words - without) * sampling.guidance
    logarithms = torch.log_softmax(logarithms / sampling.temperature, dim=-1)
    lowest = logarithms.topk(sampling.top_k or len(logarithms)).values[-1]
    short = float((lowest - logarithms[tokens]).max())
    drawn = logarithms - noise.log()
    return max(short, float((drawn[tokens[0]] - drawn[tokens[1]]).abs()))
