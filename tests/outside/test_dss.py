from pathlib import Path
from tests.outside.judges import judges
def test_x():
    j=judges(Path('var/tools'))
    f=Path('/work/main/var/demo/result.pdf')
    print(j.dss([f],anchors=Path('/work/main/var/stack/pki/anchors'),online=False)); print(j.verapdf([f]))
