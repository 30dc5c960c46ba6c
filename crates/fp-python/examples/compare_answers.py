"""Two models' answers scored by VQA accuracy and tested against each other."""

import finepruner

people = [["red"] * 8 + ["dark red"] * 2, ["2"] * 10, ["dog"] * 9 + ["puppy"]] * 20
images = [f"{question // 2}.png" for question in range(60)]
before = ["red", "two", "cat"] * 20
after = ["Red", "2", "dog"] * 20


def scores(answers: list[str]) -> list[float]:
    pairs = zip(answers, people, strict=True)
    return [finepruner.vqa_accuracy(answer, golds) for answer, golds in pairs]


result = finepruner.compare(scores(after), scores(before), clusters=images)
print(result)
print("interval of the difference:", result.interval)
