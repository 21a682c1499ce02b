"""Answers to questions about a story: a layer reads the sentences, a cell reads the question and attends to them."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, integers, noise, parameters
from rnn_jax.cell import Cell, Params
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.models import dense
from rnn_jax.models.attending import AttendingCell, LuongCell
from rnn_jax.models.labels import cross_entropy
from rnn_jax.models.pooling import LastStep
from rnn_jax.models.word_encoder import WordEncoder, WordEncoderParams
from rnn_jax.static import Static
from rnn_jax.unrolling import unroll


class QuestionAnswererParams(NamedTuple):
    """Parameters of the encoder of sentences, of the layer that reads them, of the reader and of the readout."""

    sentences: WordEncoderParams
    story: Params
    reader: Any
    readout: Any  # flax.linen.Dense variables


class Answers(NamedTuple):
    """Logits of each question, and the attention weights that they follow from."""

    logits: jax.Array  # [B, classes]
    weights: jax.Array | None  # [B, hops, S], zero beyond each story's end; None without attention


@dataclasses.dataclass(frozen=True)
class QuestionAnswerer(Static):
    """p(answer | s_1 .. s_S, question) = softmax(y V + c), with e the encoder of a sentence from its words.

        m_1 .. m_S = story(e(s_1) .. e(s_S)),   u = e(question)
        with attention      y_k = reader(u), which attends to m_1 .. m_S;   y = y_K after K hops
        without attention   y = reader([u; last outputs of m])

    A reader that is a `LuongCell` attends: it reads the question K times, and what it attends to at a hop depends on
    what it attended to before. This is the dynamic memory network (Kumar et al. 2016, arXiv:1506.07285; Xiong et al.
    2016, arXiv:1603.01417) with the attention of Luong et al. in place of the papers'. Compares and hashes by value.

    >>> import jax, jax.numpy as jnp
    >>> from rnn_jax import GRU, Bidirectional
    >>> from rnn_jax.data import Embedding
    >>> from rnn_jax.models import General, LuongCell, QuestionAnswerer, WordEncoder
    >>> reader = LuongCell(GRU(4 + 5, 5), General(5, 6), size=5)
    >>> model = QuestionAnswerer(WordEncoder(Embedding(9, 3), GRU(3, 2)), Bidirectional(GRU(4, 3)), reader, 7, hops=2)
    >>> params = model.init(jax.random.key(0))
    >>> story, question = jnp.full((6, 1, 4), 8), jnp.full((1, 4), 5)  # ids of words [S, batch, W] and [batch, W]
    >>> logits, weights = model.apply(params, story, question, lengths=jnp.array([2]))
    >>> logits.shape, weights.shape, (weights[0] > 0).sum(axis=1).tolist()
    ((1, 7), (1, 2, 6), [2, 2])

    Args:
      sentences: encoder of a sentence, or of the question, from the ids of its words.
      story: cell or layer that reads the encoded sentences, such as `Bidirectional(GRU(...))`.
      reader: `LuongCell` that reads the encoded question and attends to the outputs of `story`; or another cell or
        layer, which reads the encoded question and the last outputs of `story`.
      classes: number of answers.
      hops: K, how many times the reader reads.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if sizes do not fit, or a number is not a positive integer.
    """

    sentences: WordEncoder
    story: Cell
    reader: Cell
    classes: int
    hops: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.sentences, WordEncoder):
            raise TypeError(f"QuestionAnswerer: sentences must be a WordEncoder, got {self.sentences!r}")
        for name in ("story", "reader"):
            if not isinstance(getattr(self, name), Cell):
                raise TypeError(f"QuestionAnswerer: {name} must be a cell or layer, got {getattr(self, name)!r}")
        if isinstance(self.reader, AttendingCell) and not self.attends:
            raise TypeError(
                "QuestionAnswerer: reader must be a LuongCell, or a cell without attention, got "
                f"{type(self.reader).__name__}, which attends before it has read the question"
            )
        checks.integer_at_least(1, self.classes, "QuestionAnswerer: classes")
        checks.integer_at_least(1, self.hops, "QuestionAnswerer: hops")
        features, outputs = self.sentences.features, self.story.output_size
        if isinstance(self.reader, LuongCell) and self.reader.attention.memory_size != outputs:
            raise ValueError(
                f"QuestionAnswerer: the reader's attention must have the memory_size {outputs}, the output_size of "
                f"story, got {self.reader.attention.memory_size}"
            )
        read = features if self.attends else features + outputs
        for name, expected in (("story", features), ("reader", read)):
            if (got := getattr(self, name).input_size) != expected:
                raise ValueError(f"QuestionAnswerer: {name} must have the input_size {expected}, got {got}")

    @property
    def attends(self) -> bool:
        """Whether the reader attends to the sentences."""
        return isinstance(self.reader, LuongCell)

    def init(self, key: jax.Array) -> QuestionAnswererParams:
        key_sentences, key_story, key_reader, key_readout = jax.random.split(key, 4)
        return QuestionAnswererParams(
            self.sentences.init(key_sentences),
            self.story.init(key_story),
            self.reader.init(key_reader),
            dense.init(key_readout, self.classes, jnp.zeros(self.reader.output_size)),
        )

    def apply(
        self,
        params: QuestionAnswererParams,
        story: Any,
        question: Any,
        lengths: Any = None,
        *,
        engine: Engine = Hoisted(),
        key: noise.Key = noise.NOT_GIVEN,
    ) -> Answers:
        """Computes the logits of each answer.

        Args:
          params: parameters from `init`.
          story: ids of words [S, B, W], S at least 1, with `Vocabulary.PADDING` after each sentence's end.
          question: ids of words [B, W], padded likewise.
          lengths: number of sentences of each story, integers [B] from 0 to S; None means S.
          engine: solver of the recurrences.
          key: random key of the layers' noise, required if there is some; None means evaluation.

        Returns:
          The logits, and the attention weights.

        Raises:
          TypeError, ValueError: as `WordEncoder.apply` and `rnn_jax.unroll`; if story and question do not fit.
        """
        parameters.check(self, params)
        shapes = jnp.shape(story), jnp.shape(question)
        if len(shapes[0]) != 3 or not shapes[0][0] or shapes[1] != shapes[0][1:]:
            raise ValueError(
                "QuestionAnswerer: story must be [S, B, W] with S of at least 1, and question [B, W], got shapes "
                f"{list(shapes[0])} and {list(shapes[1])}"
            )
        key_words, key_story, *key_hops = noise.keys(key, 2 + self.hops)
        sentences = jnp.concatenate([jnp.asarray(story), jnp.asarray(question)[None]])
        encoded = self.sentences.apply(params.sentences, sentences, engine=engine, key=key_words)
        encoded, asked = encoded[:-1], encoded[-1]
        _, memory = unroll(self.story, params.story, encoded, lengths=lengths, engine=engine, key=key_story)
        reader = params.reader
        if isinstance(self.reader, LuongCell):
            reader = self.reader.with_memory(reader, memory, lengths)
        else:
            counts = jnp.full(shapes[0][1], shapes[0][0]) if lengths is None else lengths
            counts = jnp.asarray(integers.int32(counts, "QuestionAnswerer: lengths"))
            asked = jnp.concatenate([asked, LastStep()(self.story, memory, counts)], axis=-1)
        state, weights, y = self.reader.initial_state(reader, shapes[1][:1]), [], asked
        for key_hop in key_hops:
            state, (y,) = unroll(self.reader, reader, asked[None], state, engine=engine, key=key_hop)
            weights += [state.weights] if self.attends else []
        logits = dense.apply(params.readout, self.classes, y)
        return Answers(logits, jnp.stack(weights, axis=1) if self.attends else None)

    def loss(
        self,
        params: QuestionAnswererParams,
        story: Any,
        question: Any,
        answers: Any,
        lengths: Any = None,
        *,
        engine: Engine = Hoisted(),
        key: noise.Key = noise.NOT_GIVEN,
    ) -> jax.Array:
        """Returns -mean log p(answer | story, question), in nats.

        Args:
          params: parameters from `init`.
          story: ids, as in `apply`.
          question: ids, as in `apply`.
          answers: integers [B] in [0, classes).
          lengths: lengths, as in `apply`.
          engine: solver of the recurrences.
          key: random key, as in `apply`.

        Raises:
          TypeError, ValueError: as `apply`; if answers are not integers, have another shape, or are not in [0,
            classes). Traced answers out of range make the loss NaN.
        """
        logits = self.apply(params, story, question, lengths, engine=engine, key=key).logits
        return jnp.mean(cross_entropy("QuestionAnswerer: answers", logits, answers))
