// What the parts in this folder say, in the languages they speak. Node names and tooltips are in locales/.

const EN = {
  facesEmpty: "Run once to see the faces; then click one, or drag a box.",
  facesFound: (count) =>
    count === 0
      ? "No face found. Drag a box around it."
      : `${count} ${count === 1 ? "face" : "faces"}. Click one, or drag a box.`,
  faceChosen: "This face speaks. Run to use it.",
  boxDrawn: "Your box is used on every frame.",
  automatic: "Automatic",
  speechEmpty: "The speech appears here after a run.",
  frames: (count) => `${count} frames`,
  withoutFace: (count) => `${count} without a face`,
  menuImage: "Lip sync this image",
  menuVideo: "Lip sync this video",
  menuWeights: "Lip-sync weights…",
  weightsTitle: "Weights for lip sync",
  weightsIntro: (folder) => `They are kept in ${folder}. Each is checked by its hash before its first use.`,
  weightsMissing: (name) => `This run needs ${name}.`,
  accept: "I have read the licence and accept it.",
  licence: "Licence",
  page: "Its page",
  download: "Download",
  cancel: "Cancel",
  here: "Here",
  byHand: "No address serves it directly. Download it from its page and put it into the folder above.",
  waiting: "Waiting…",
  done: "Done. Run again.",
  close: "Close",
  unreachable: "The list of weights cannot be read. Is the server running?",
};

const ZH = {
  facesEmpty: "先运行一次以查看人脸，然后点选一张脸，或拖动画框。",
  facesFound: (count) => (count === 0 ? "未找到人脸。请拖动鼠标画一个框。" : `${count} 张人脸。点选一张，或拖动画框。`),
  faceChosen: "将由这张脸说话。运行后生效。",
  boxDrawn: "每一帧都使用您画的框。",
  automatic: "自动",
  speechEmpty: "运行后，这里会显示语音波形。",
  frames: (count) => `${count} 帧`,
  withoutFace: (count) => `${count} 帧无人脸`,
  menuImage: "为此图像对口型",
  menuVideo: "为此视频对口型",
  menuWeights: "对口型模型权重…",
  weightsTitle: "对口型模型权重",
  weightsIntro: (folder) => `文件保存在 ${folder}。首次使用前会校验每个文件的哈希值。`,
  weightsMissing: (name) => `本次运行需要 ${name}。`,
  accept: "我已阅读并接受该许可协议。",
  licence: "许可协议",
  page: "下载页面",
  download: "下载",
  cancel: "取消",
  here: "已就绪",
  byHand: "没有可直接下载的地址。请从其页面下载，并放入上述文件夹。",
  waiting: "请稍候…",
  done: "完成。请重新运行。",
  close: "关闭",
  unreachable: "无法读取权重列表。服务器是否正在运行？",
};

const JA = {
  facesEmpty: "一度実行すると顔が表示されます。顔をクリックするか、ドラッグで枠を描いてください。",
  facesFound: (count) =>
    count === 0 ? "顔が見つかりません。ドラッグで枠を描いてください。" : `顔 ${count} 件。クリックで選ぶか、ドラッグで枠を描きます。`,
  faceChosen: "この顔が話します。実行すると反映されます。",
  boxDrawn: "描いた枠をすべてのフレームで使います。",
  automatic: "自動",
  speechEmpty: "実行すると、ここに音声の波形が表示されます。",
  frames: (count) => `${count} フレーム`,
  withoutFace: (count) => `顔なし ${count} フレーム`,
  menuImage: "この画像をリップシンク",
  menuVideo: "この動画をリップシンク",
  menuWeights: "リップシンクの重み…",
  weightsTitle: "リップシンクの重み",
  weightsIntro: (folder) => `保存先は ${folder} です。初めて使う前にハッシュを確認します。`,
  weightsMissing: (name) => `この実行には ${name} が必要です。`,
  accept: "ライセンスを読み、同意します。",
  licence: "ライセンス",
  page: "配布ページ",
  download: "ダウンロード",
  cancel: "中止",
  here: "導入済み",
  byHand: "直接ダウンロードできるアドレスがありません。配布ページから入手し、上のフォルダーに置いてください。",
  waiting: "待機中…",
  done: "完了しました。もう一度実行してください。",
  close: "閉じる",
  unreachable: "重みの一覧を読み込めません。サーバーは動いていますか?",
};

const KO = {
  facesEmpty: "한 번 실행하면 얼굴이 표시됩니다. 얼굴을 클릭하거나 드래그하여 상자를 그리세요.",
  facesFound: (count) =>
    count === 0 ? "얼굴을 찾지 못했습니다. 드래그하여 상자를 그리세요." : `얼굴 ${count}개. 클릭해 고르거나 드래그하여 상자를 그리세요.`,
  faceChosen: "이 얼굴이 말합니다. 실행하면 적용됩니다.",
  boxDrawn: "그린 상자를 모든 프레임에 사용합니다.",
  automatic: "자동",
  speechEmpty: "실행하면 여기에 음성 파형이 표시됩니다.",
  frames: (count) => `${count}프레임`,
  withoutFace: (count) => `얼굴 없음 ${count}프레임`,
  menuImage: "이 이미지 립싱크",
  menuVideo: "이 비디오 립싱크",
  menuWeights: "립싱크 가중치…",
  weightsTitle: "립싱크 가중치",
  weightsIntro: (folder) => `${folder}에 보관됩니다. 처음 사용하기 전에 해시를 확인합니다.`,
  weightsMissing: (name) => `이 실행에는 ${name}이(가) 필요합니다.`,
  accept: "라이선스를 읽었으며 동의합니다.",
  licence: "라이선스",
  page: "배포 페이지",
  download: "다운로드",
  cancel: "취소",
  here: "설치됨",
  byHand: "바로 받을 수 있는 주소가 없습니다. 배포 페이지에서 받아 위 폴더에 넣으세요.",
  waiting: "대기 중…",
  done: "완료되었습니다. 다시 실행하세요.",
  close: "닫기",
  unreachable: "가중치 목록을 읽을 수 없습니다. 서버가 실행 중인가요?",
};

export const LANGUAGES = { en: EN, zh: ZH, ja: JA, ko: KO };

/** "zh-CN", "ja_JP", "ko" ... -> the texts in that language, English for the others. */
export function wordsFor(locale) {
  return LANGUAGES[String(locale ?? "").toLowerCase().split(/[-_]/)[0]] ?? EN;
}
