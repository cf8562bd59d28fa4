//! Other scripts than Latin, accented Latin and emoji, letter by letter: what the words mean is of no
//! matter to a tokenizer, which characters follow each other is.

use super::draw::Draw;

/// A script: its letters, what stands between words, what ends a sentence.
#[derive(Clone, Copy)]
struct Script {
    letters: &'static str,
    between: &'static str,
    end: &'static str,
    /// Letters of a word.
    shortest: usize,
    longest: usize,
}

const SCRIPTS: [Script; 11] = [
    Script {
        letters: "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэф",
        between: " ",
        end: ".",
        shortest: 2,
        longest: 11,
    },
    Script {
        letters: "αοιετσνηυρπκμλωδγχθφβξζψάέήίόύώς",
        between: " ",
        end: ".",
        shortest: 2,
        longest: 10,
    },
    Script {
        letters: "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美点月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关并内加化由却代军产入先山五太水万市眼体别处总才场师书比住员九笑性通目华报立马命张活难神数件安表原车白应路期叫死常提感金何更反合放做系计或司利受光王果亲界及今京务制解各任至清物台象记边共风战干接它许八特觉望直服毛林题建南度统色字请交爱让认算论百吃义科怎元社术结六功指思非流每青管夫连远资队跟带花快条院变联言权往展该领传近留红治决周保达办运武半候七必城父强步完革深区即求品士转量空甚众技轻程告江语英基派满式李息写呢识极令黄德收脸钱党倒未持取设始版双历越史商千片容研像找友孩站广改议形委早房音火际则首单据导影失拿网香似斯专石若兵弟谁校读志飞观争究包组造落视济喜离虽坏确兴",
        between: "",
        end: "。",
        shortest: 6,
        longest: 24,
    },
    Script {
        letters: "のにはをたがでてとしれさあいるかうもなよらりまこえおきくけせそつねひふへほみむめやゆわんアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワンー日本語東京大学研究時間人年見出",
        between: "",
        end: "。",
        shortest: 5,
        longest: 20,
    },
    Script {
        letters: "이다는의에을가고하한를은지도로서기사나어그리아대들시자있인과것수일정해제부보전만원스주상구화적조세동국선소공면여성라우경신마비방관",
        between: " ",
        end: ".",
        shortest: 1,
        longest: 6,
    },
    Script {
        letters: "اليمنوتربدعسكقفحجشصطخضذثزغظءةى",
        between: " ",
        end: "؟",
        shortest: 2,
        longest: 8,
    },
    Script {
        letters: "יוהלאמתרבשנכדפעקחטגצזסךםןףץ",
        between: " ",
        end: ".",
        shortest: 2,
        longest: 7,
    },
    Script {
        letters: "करनसमहलतपयवदजगबटचखभधशणषथफछडउअआएइािीुूेैोौंः्",
        between: " ",
        end: "।",
        shortest: 2,
        longest: 9,
    },
    Script {
        letters: "กขคงจชซญดตถทนบปผพฟมยรลวศสหอะาิีึืุูเแโใไ่้็์",
        between: "",
        end: " ",
        shortest: 8,
        longest: 30,
    },
    Script {
        letters: "etaoinsrhldcumfpgwybvéèàùçäöüßñáíóúâêîôûøåæłśźżěščřž",
        between: " ",
        end: ".",
        shortest: 2,
        longest: 12,
    },
    Script {
        letters: "😀😂🙂🤔👍🎉🔥🚀✅❌⭐💡📈🧪🐍🦀→≤≥±×÷√∑∞αβπ",
        between: " ",
        end: "!",
        shortest: 1,
        longest: 4,
    },
];

/// Some sentences in one script, in one line.
pub(super) fn paragraph(draw: &mut Draw, text: &mut String) {
    let script = draw.of(&SCRIPTS);
    let letters: Vec<char> = script.letters.chars().collect();
    for _ in 0..draw.between(1, 5) {
        let words = draw.between(2, 14);
        for place in 0..words {
            for _ in 0..draw.between(script.shortest, script.longest) {
                text.push(draw.early(&letters));
            }
            if place + 1 < words {
                text.push_str(if draw.once_in(8) { ", " } else { script.between });
            }
        }
        text.push_str(script.end);
        text.push_str(script.between);
    }
    text.push('\n');
}
